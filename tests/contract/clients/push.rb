# Pushes with prometheus-client-mmap. README.md has the arguments.
require 'prometheus/client'
require 'prometheus/client/push'

verb, url, job, orders, *pairs = ARGV
group = pairs.to_h { |pair| pair.split('=', 2) }

registry = Prometheus::Client::Registry.new
registry.counter(:client_orders_total, 'Orders taken.').increment({ kind: 'new' }, orders.to_f)
registry.gauge(:client_temperature_celsius, 'Where the clients are.').set({}, -12.5)
# It cannot write its own histograms and summaries.

url = url.sub('//', "//#{ENV['PUSH_USER']}:#{ENV['PUSH_PASSWORD']}@") if ENV['PUSH_USER']

# The library knows no other label than this.
push = Prometheus::Client::Push.new(job: job, instance: group['instance'], gateway: url)
answer = { 'push' => -> { push.replace(registry) }, 'pushadd' => -> { push.add(registry) }, 'delete' => -> { push.delete } }[verb].call
# It leaves the answer to its user. The door answers 202, and Pushgateway itself 200.
abort "#{answer.code} #{answer.body}" unless %w[200 202].include?(answer.code)
