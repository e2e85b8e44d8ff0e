// Pushes with client_java or the older simpleclient. ../README.md has the arguments, after the name of the library.
import java.util.LinkedHashMap;
import java.util.Map;

public class Push {
    private static final double[] LATENCIES = {0.0625, 0.5, 0.5, 7};

    public static void main(String[] arguments) throws Exception {
        Map<String, String> group = new LinkedHashMap<>();
        for (int at = 5; at < arguments.length; at++) {
            String[] pair = arguments[at].split("=", 2);
            group.put(pair[0], pair[1]);
        }
        double orders = Double.parseDouble(arguments[4]);
        if (arguments[0].equals("client_java")) {
            Current.push(arguments[1], arguments[2], arguments[3], orders, group);
        } else {
            Old.push(arguments[1], arguments[2], arguments[3], orders, group);
        }
    }

    private static class Current {
        static void push(String verb, String url, String job, double orders, Map<String, String> group) throws Exception {
            var registry = new io.prometheus.metrics.model.registry.PrometheusRegistry();
            io.prometheus.metrics.core.metrics.Counter.builder().name("client_orders_total").help("Orders taken.").labelNames("kind")
                .register(registry).labelValues("new").inc(orders);
            io.prometheus.metrics.core.metrics.Gauge.builder().name("client_temperature_celsius").help("Where the clients are.")
                .register(registry).set(-12.5);
            var latency = io.prometheus.metrics.core.metrics.Histogram.builder().name("client_latency_seconds").help("Time to an answer.")
                .classicOnly().classicUpperBounds(0.1, 1, 5).register(registry);
            for (double seconds : LATENCIES) {
                latency.observe(seconds);
            }
            var size = io.prometheus.metrics.core.metrics.Summary.builder().name("client_size_bytes").help("Size of an order.")
                .quantile(0.5, 0.05).register(registry);
            for (double bytes : new double[] {10, 20, 30}) {
                size.observe(bytes);
            }
            var builder = io.prometheus.metrics.exporter.pushgateway.PushGateway.builder()
                .address(url.substring("http://".length())).job(job).registry(registry);
            group.forEach(builder::groupingKey);
            if ("text".equals(System.getenv("PUSH_FORMAT"))) {
                builder.format(io.prometheus.metrics.exporter.pushgateway.Format.PROMETHEUS_TEXT);
            }
            if (System.getenv("PUSH_USER") != null) {
                builder.basicAuth(System.getenv("PUSH_USER"), System.getenv("PUSH_PASSWORD"));
            }
            var gateway = builder.build();
            switch (verb) {
                case "push" -> gateway.push();
                case "pushadd" -> gateway.pushAdd();
                default -> gateway.delete();
            }
        }
    }

    private static class Old {
        static void push(String verb, String url, String job, double orders, Map<String, String> group) throws Exception {
            var registry = new io.prometheus.client.CollectorRegistry();
            io.prometheus.client.Counter.build("client_orders_total", "Orders taken.").labelNames("kind").register(registry)
                .labels("new").inc(orders);
            io.prometheus.client.Gauge.build("client_temperature_celsius", "Where the clients are.").register(registry).set(-12.5);
            var latency = io.prometheus.client.Histogram.build("client_latency_seconds", "Time to an answer.").buckets(0.1, 1, 5)
                .register(registry);
            for (double seconds : LATENCIES) {
                latency.observe(seconds);
            }
            var size = io.prometheus.client.Summary.build("client_size_bytes", "Size of an order.").quantile(0.5, 0.05)
                .register(registry);
            for (double bytes : new double[] {10, 20, 30}) {
                size.observe(bytes);
            }
            var gateway = new io.prometheus.client.exporter.PushGateway(url.substring("http://".length()));
            if (System.getenv("PUSH_USER") != null) {
                gateway.setConnectionFactory(new io.prometheus.client.exporter.BasicAuthHttpConnectionFactory(
                    System.getenv("PUSH_USER"), System.getenv("PUSH_PASSWORD")));
            }
            switch (verb) {
                case "push" -> gateway.push(registry, job, group);
                case "pushadd" -> gateway.pushAdd(registry, job, group);
                default -> gateway.delete(job, group);
            }
        }
    }
}
