-- One event out of each reading: the rule invokes the function itself.
-- Devices publish to sensors/<customer>/<device>/water, for example
--   {"temperature": "14.3", "ph": 6.7}
-- AWS IoT knows no comments: lambda-rule.json holds this statement without them.
SELECT
  -- Dimensions become labels. Who sent it stands in the topic, which the device's policy guards; a field of the
  -- payload could claim anything.
  {'customerId': topic(2), 'deviceId': topic(3)} AS dimensions,
  -- When AWS IoT received it, in milliseconds. A device whose clock drifts must not choose the time of its sample.
  timestamp() AS timestamp,
  -- Choose the metrics by name: a key that a new firmware adds does not become a new series by itself.
  -- Strings may stay strings. A reading that is missing is left out here, so the others still arrive.
  {'temperature': temperature, 'ph': ph} AS metrics
FROM 'sensors/+/+/water'
-- An event without any metric would be refused: a message with neither reading is none of ours.
WHERE isUndefined(temperature) = false OR isUndefined(ph) = false
