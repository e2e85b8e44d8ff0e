# Pushes what Net::Prometheus or Prometheus::Tiny render; they have no push of their own. README.md has the arguments, after the name
# of the library.
use strict;
use warnings;
use HTTP::Tiny;
use MIME::Base64 qw(encode_base64);

my ($library, $verb, $url, $job, $orders, @pairs) = @ARGV;
my @latencies = (0.0625, 0.5, 0.5, 7);
my @buckets = (0.1, 1, 5);

sub net_prometheus {
    require Net::Prometheus;
    my $client = Net::Prometheus->new(disable_process_collector => 1, disable_perl_collector => 1);
    $client->new_counter(name => 'client_orders_total', help => 'Orders taken.', labels => ['kind'])->inc('new', $orders);
    $client->new_gauge(name => 'client_temperature_celsius', help => 'Where the clients are.')->set(-12.5);
    my $latency = $client->new_histogram(name => 'client_latency_seconds', help => 'Time to an answer.', buckets => \@buckets);
    $latency->observe($_) for @latencies;
    my $size = $client->new_summary(name => 'client_size_bytes', help => 'Size of an order.');
    $size->observe($_) for 10, 20, 30;
    return $client->render;
}

sub prometheus_tiny {
    require Prometheus::Tiny;
    my $client = Prometheus::Tiny->new;
    $client->declare('client_orders_total', help => 'Orders taken.', type => 'counter');
    $client->set('client_orders_total', $orders, { kind => 'new' });
    $client->declare('client_temperature_celsius', help => 'Where the clients are.', type => 'gauge');
    $client->set('client_temperature_celsius', -12.5);
    $client->declare('client_latency_seconds', help => 'Time to an answer.', type => 'histogram', buckets => \@buckets);
    $client->histogram_observe('client_latency_seconds', $_) for @latencies;
    return $client->format;
}

sub component {
    my ($name, $value) = @_;
    my $encoded = encode_base64($value, '');
    $encoded =~ tr{+/}{-_};
    return "/$name\@base64/" . ($encoded || '=');
}

my $path = join '', '/metrics', component('job', $job), map { component(split /=/, $_, 2) } @pairs;
my %method = (push => 'PUT', pushadd => 'POST', delete => 'DELETE');
my $body = { net => \&net_prometheus, tiny => \&prometheus_tiny }->{$library}->();
my $answer = HTTP::Tiny->new->request($method{$verb}, $url . $path, $verb eq 'delete' ? {} : { content => $body });
# The door answers 202, and Pushgateway itself 200.
die "$answer->{status} $answer->{content}" if $answer->{status} != 202 && $answer->{status} != 200;
