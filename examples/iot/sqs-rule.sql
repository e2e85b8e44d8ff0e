-- Makes one event of each reading, and sends it to the queue. The queue keeps events if the workspace cannot be reached.
-- Devices publish to sensors/<customer>/<device>/water, for example
--   {"temperature": "14.3", "ph": 6.7, "battery": {"level": 87}}
-- AWS IoT does not accept comments: sqs-rule.json has this statement without them.
SELECT
  -- clientid() is the MQTT client of the device. Every new value makes a new series: use few values that stay the same, and
  -- no message ids or request ids.
  {'customerId': topic(2), 'deviceId': topic(3), 'client': clientid()} AS dimensions,
  -- The rules engine does not keep the order of messages, so each event has its timestamp. Without one, the gateway uses the
  -- time at which the queue received the message, which is good too.
  timestamp() AS timestamp,
  -- A dot selects a nested reading.
  {'temperature': temperature, 'ph': ph, 'battery_level': battery.level} AS metrics
FROM 'sensors/+/+/water'
WHERE (isUndefined(temperature) = false AND isNull(temperature) = false) OR
  (isUndefined(ph) = false AND isNull(ph) = false) OR
  (isUndefined(battery.level) = false AND isNull(battery.level) = false)
