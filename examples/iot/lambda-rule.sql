-- Makes one event of each reading, and invokes the function with it.
-- Devices publish to sensors/<customer>/<device>/water, for example
--   {"temperature": "14.3", "ph": 6.7}
-- AWS IoT does not accept comments: lambda-rule.json has this statement without them.
SELECT
  -- Dimensions become labels. Customer and device come from the topic, which the device's policy restricts. A field of
  -- the payload could contain anything.
  {'customerId': topic(2), 'deviceId': topic(3)} AS dimensions,
  -- The time at which AWS IoT received the message, in milliseconds: the clock of a device may be wrong.
  timestamp() AS timestamp,
  -- Choose the metrics by name, so that a key of a new firmware does not become a new series.
  -- Numbers may be strings. AWS IoT omits a reading that is missing, and the gateway one that is null, so the others still arrive.
  {'temperature': temperature, 'ph': ph} AS metrics
FROM 'sensors/+/+/water'
-- The gateway would reject an event without a value, so the rule ignores a message in which each reading is missing or null.
WHERE (isUndefined(temperature) = false AND isNull(temperature) = false) OR
  (isUndefined(ph) = false AND isNull(ph) = false)
