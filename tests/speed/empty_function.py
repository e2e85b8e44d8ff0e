"""A function that does nothing, for `tests/speed/extension`."""


def handler(event, context):
    return {}
