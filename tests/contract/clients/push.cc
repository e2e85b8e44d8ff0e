// Pushes with prometheus-cpp. README.md has the arguments.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gateway.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>

int main(int count, char** arguments) {
    using namespace prometheus;
    if (count < 5) return 2;
    const std::string verb = arguments[1], url = arguments[2], job = arguments[3];
    Labels group;
    for (int at = 5; at < count; ++at) {
        const std::string pair = arguments[at];
        const auto equals = pair.find('=');
        group[pair.substr(0, equals)] = pair.substr(equals + 1);
    }

    auto registry = std::make_shared<Registry>();
    auto& orders = BuildCounter().Name("client_orders_total").Help("Orders taken.").Register(*registry);
    orders.Add({{"kind", "new"}}).Increment(std::stod(arguments[4]));
    BuildGauge().Name("client_temperature_celsius").Help("Where the clients are.").Register(*registry).Add({}).Set(-12.5);
    auto& latency = BuildHistogram().Name("client_latency_seconds").Help("Time to an answer.").Register(*registry).Add(
        {}, Histogram::BucketBoundaries{0.1, 1, 5});
    for (double seconds : {0.0625, 0.5, 0.5, 7.0}) latency.Observe(seconds);
    auto& size = BuildSummary().Name("client_size_bytes").Help("Size of an order.").Register(*registry).Add(
        {}, Summary::Quantiles{{0.5, 0.05}});
    for (double bytes : {10.0, 20.0, 30.0}) size.Observe(bytes);

    const auto colon = url.rfind(':');
    const char *user = std::getenv("PUSH_USER"), *password = std::getenv("PUSH_PASSWORD");
    Gateway gateway{url.substr(0, colon), url.substr(colon + 1), job, group, user ? user : "", password ? password : ""};
    gateway.RegisterCollectable(registry);
    const int status = verb == "push" ? gateway.Push() : verb == "pushadd" ? gateway.PushAdd() : gateway.Delete();
    // It leaves the status to its user, and makes one 200 of those of several requests.
    if (status != 200 && status != 202) {
        std::fprintf(stderr, "status %d\n", status);
        return 1;
    }
}
