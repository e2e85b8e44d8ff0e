-- The same by way of the queue, which is the safer way: it keeps the events when the workspace cannot be reached.
-- Devices publish to sensors/<customer>/<device>/water, for example
--   {"temperature": "14.3", "ph": 6.7, "battery": {"level": 87}}
-- AWS IoT knows no comments: sqs-rule.json holds this statement without them.
SELECT
  -- clientid() is the MQTT client of the device. Only such values belong here as are few and stay: every new one
  -- makes a new series (so no message ids, no request ids).
  {'customerId': topic(2), 'deviceId': topic(3), 'client': clientid()} AS dimensions,
  -- The rules engine promises no order of messages. With a timestamp each sample keeps its place in time; without
  -- one it would be the time at which the queue received it, which is good as well.
  timestamp() AS timestamp,
  -- A dot reaches into nested readings.
  {'temperature': temperature, 'ph': ph, 'battery_level': battery.level} AS metrics
FROM 'sensors/+/+/water'
WHERE isUndefined(temperature) = false OR isUndefined(ph) = false OR isUndefined(battery.level) = false
