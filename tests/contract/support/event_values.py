"""Values of a metric in JSON: those that are accepted, with the bits that are sent, and those that are rejected."""
import pytest

from .receiver import bits

POSITIVE_ZERO, NEGATIVE_ZERO = 0, 1 << 63
NAN, INF, NEGATIVE_INF = 0x7FF8000000000001, 0x7FF0000000000000, 0xFFF0000000000000


def integer(literal, value, inexact=0, wire=None):
    return pytest.param(literal, bits(float(value)) if wire is None else wire, inexact, id=f"{literal[:40]} is an integer")


def decimal(literal, wire=None, id=None):
    expected = bits(float(literal.strip('"'))) if wire is None else wire
    return pytest.param(literal, expected, 0, id=id or f"{literal[:60]} is a float")


I64_MAX, I64_MIN = 9223372036854775807, -9223372036854775808

GOOD = [
    # Digits alone are an integer, also in a string.
    integer("12", 12), integer('"12"', 12), integer("0", 0), integer('"0"', 0), integer("-7", -7), integer('"-7"', -7),
    integer('"+5"', 5), integer('"+0"', 0, wire=POSITIVE_ZERO), integer('"007"', 7),
    integer('"%s12"' % ("0" * 400), 12),
    decimal("12.0"), decimal('"12.0"'), decimal("1e3"), decimal('"1e3"'), decimal("1E3"), decimal('"1E+3"'),
    decimal("1e+3"), decimal("1e-3"), decimal("14.3"), decimal('"14.3"'), decimal("6.7"), decimal('"+6.7"'),
    decimal("120e-1"), decimal("0.1"), decimal("-0.1"), decimal("0.30000000000000004"),
    # Zero and its sign: an Integer has none, a Float keeps it.
    integer("-0", 0, wire=POSITIVE_ZERO), integer('"-0"', 0, wire=POSITIVE_ZERO),
    integer('"-000"', 0, wire=POSITIVE_ZERO),
    decimal("-0.0", NEGATIVE_ZERO), decimal('"-0.0"', NEGATIVE_ZERO), decimal("-0e0", NEGATIVE_ZERO),
    decimal('"-0."', NEGATIVE_ZERO), decimal('"-.0"', NEGATIVE_ZERO), decimal("0.0", POSITIVE_ZERO),
    decimal("0e99999999999", POSITIVE_ZERO), decimal("-0e-5", NEGATIVE_ZERO),
    # A point at either end.
    decimal('".5"'), decimal('"5."'), decimal('"-.5"'), decimal('"+.5"'), decimal('"-5."'), decimal('"000.50"'),
    # Integers at the limits of a double, and of an i64.
    integer("9007199254740991", 2**53 - 1), integer("9007199254740992", 2**53),
    integer("9007199254740993", 2**53, 1), integer('"9007199254740993"', 2**53, 1),
    integer("-9007199254740993", -(2**53), 1), integer("9007199254740994", 2**53 + 2),
    integer("9007199254740995", 2**53 + 4, 1), integer('"+9007199254740993"', 2**53, 1),
    decimal("9007199254740993.0"), decimal('"9007199254740993.0"'), decimal("9007199254740993e0"),
    decimal("9.007199254740993e15"),
    integer(str(I64_MAX), I64_MAX, 1), integer('"%d"' % I64_MAX, I64_MAX, 1), integer(str(I64_MIN), I64_MIN),
    integer('"%d"' % I64_MIN, I64_MIN), integer(str(I64_MAX - 1), I64_MAX - 1, 1),
    integer(str(I64_MIN + 1), I64_MIN + 1, 1), integer(str(2**62), 2**62),
    # Digits alone that do not fit an i64 are floats, so none counts as inexact.
    decimal(str(I64_MAX + 1)), decimal('"%d"' % (I64_MAX + 1)), decimal(str(I64_MIN - 1)), decimal(str(2**64 - 1)),
    decimal(str(2**64)), decimal(str(2**64 + 1)), decimal("123456789012345678901234567890"),
    decimal("1" + "0" * 300, id="10^300 in digits is a float"), decimal("1" * 309, id="309 digits are a float"),
    decimal('"' + "9" * 308 + '"', id="308 nines in a string are a float"),
    # Subnormals and underflow become the nearest double.
    decimal("5e-324"), decimal('"5e-324"'), decimal("-5e-324"), decimal("4.9406564584124654e-324"),
    decimal("2.4703282292062327e-324"), decimal("2.4703282292062328e-324"), decimal("2.2250738585072014e-308"),
    decimal("2.2250738585072011e-308"), decimal("2.2250738585072012e-308"), decimal("2.225073858507201e-308"),
    decimal("1e-400", POSITIVE_ZERO), decimal('"1e-400"', POSITIVE_ZERO), decimal("-1e-400", NEGATIVE_ZERO),
    decimal('"-1e-400"', NEGATIVE_ZERO), decimal("1e-99999999999999999999", POSITIVE_ZERO),
    decimal("0." + "0" * 400 + "1", POSITIVE_ZERO, id="a one after 400 zeros underflows"),
    decimal("0." + "0" * 400 + "1e401", id="a one after 400 zeros, with its exponent"),
    decimal("1" + "0" * 400 + "e-400", id="10^400 in digits, with an exponent that brings it back"),
    # The largest double.
    decimal("1.7976931348623157e308"), decimal("1.7976931348623158e308"), decimal("-1.7976931348623157e+308"),
    decimal("179769313486231570" + "0" * 291, id="the largest double in digits"),
    # Hard to round: a parser that is off by one bit somewhere is off here.
    decimal("1e23"), decimal("8.98846567431158e307"), decimal("6.9294956446009195e15"), decimal("9007199254740993.1"),
    decimal("3.7455744005952583e15"), decimal("5.0216813883093451685872615018317e-14"), decimal("8.5e22"),
    decimal("7.2057594037927933e16"), decimal("1.00000000000000011102230246251565"),
    decimal("1.00000000000000011102230246251566"), decimal("0.500000000000000166533453693773481063544750213623046875"),
    decimal("3.518437208883201171875e13"), decimal("62.5364939768271845828"), decimal("8.10109172351e-10"),
    decimal("1.50000000000000011102230246251565"), decimal("9007199254740991.4999999999999999999999999999999995"),
    decimal("6929495644600919.5"), decimal("3.2378839133029012895883524125015321748630376694231080599012970495523019706"
                                           "70676565786835742587799557860615776559838283435514391084153169252689190564"
                                           "396459577394618038928365305143463955100356696665629202017331344031730044369"
                                           "360205258345803431471660032699580731300954848363975548690010751530018881758"
                                           "184174569652173110473696022749934638425380623369774736560008997404060967498"
                                           "028389191878963968575439222206416981462690113342524002724385941651051293552"
                                           "60142115533343022523729152384332233132613843147782359114240880003e-332",
                                           id="the halfway case of 500 digits"),
    decimal("9007199254740993." + "0" * 760 + "1", id="just above a half, seen after 760 zeros"),
    decimal("9007199254740993." + "0" * 760, id="exactly a half, with 760 zeros"),
    decimal('"0.1%s"' % ("0" * 2000), id="0.1 and 2,000 zeros"),
    decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798"),
    # NaN and infinity, as Python, C, Java and firmware spell them.
    *(pytest.param(f'"{name}"', NAN, 0, id=repr(name)) for name in
      ("NaN", "nan", "NAN", "Nan", "+NaN", "-NaN", "-nan", " NaN ")),
    *(pytest.param(f'"{name}"', INF, 0, id=repr(name)) for name in
      ("Inf", "+Inf", "inf", "INF", "infinity", "Infinity", "+Infinity", "INFINITY", " Inf\\n")),
    *(pytest.param(f'"{name}"', NEGATIVE_INF, 0, id=repr(name)) for name in ("-Inf", "-inf", "-Infinity", "\\t-INFINITY")),
    # Blanks around a string are ignored before its type is decided.
    integer('" 1"', 1), integer('"1 "', 1), integer('"\\t1"', 1, wire=bits(1.0)), integer('"1\\r\\n"', 1, wire=bits(1.0)),
    integer('" -0 "', 0, wire=POSITIVE_ZERO), decimal('"  3.300"'), decimal('" -0.0 "', NEGATIVE_ZERO),
    # Booleans.
    integer("true", 1), integer("false", 0),
    # A string may have escapes.
    decimal('"\\u0031\\u002e5"', bits(1.5), id="1.5 in escapes"), pytest.param('"N\\u0061N"', NAN, 0, id="NaN in escapes"),
    integer('"9007199254740993"'.replace("9", "\\u0039", 1), 2**53, 1),
]

BAD = {
    "empty string": '""', "a space": '" "', "spaces": '"   "', "tab and newline": '"\\t\\n"',
    "no-break space": '"\\u00a01"', "space in between": '"1 2"', "space after the sign": '"- 1"', "space in infinity": '"in f"',
    "hex": '"0x1F"', "hex, capital": '"0X1F"', "hex float": '"0x1p3"', "octal": '"0o17"', "binary": '"0b1"',
    "underscore": '"1_000"', "comma": '"1,000"', "decimal comma": '"14,3"', "apostrophe": "\"1'000\"",
    "two minuses": '"--5"', "two pluses": '"++5"', "plus minus": '"+-5"', "minus space": '"- 5"', "minus after": '"5-"',
    "only a minus": '"-"', "only a plus": '"+"', "only a point": '"."', "minus point": '"-."', "two points": '"1.2.3"',
    "only an exponent": '"e5"', "point exponent": '".e5"', "no exponent digits": '"1e"', "exponent sign only": '"1e+"',
    "fraction in the exponent": '"1e5.0"', "two exponents": '"1e5e5"', "other exponent letter": '"1d5"',
    "letters": '"abc"', "letters after": '"12abc"', "unit after": '"14.3 C"', "suffix f": '"1f"', "percent": '"5%"',
    "Arabic digits": '"١٢"', "full-width digits": '"１２"', "superscript": '"1²"', "a half": '"½"',
    "Unicode minus": '"−5"', "NUL after": '"1\\u0000"', "quoted": '"\\"1\\""', "parentheses": '"(1)"',
    "infinit": '"infinit"', "infinite": '"infinite"', "nano": '"nano"', "++Inf": '"++Inf"', "NaN(1)": '"NaN(1)"', "-+inf": '"-+inf"',
    "1.#INF": '"1.#INF"', "true in a string": '"true"', "null in a string": '"null"',
    "empty array": "[]", "array": "[1]", "empty object": "{}",
    "object": '{"value": 1}', "object with a string": '{"v": "1"}',
    "1e309": "1e309", "1e309 in a string": '"1e309"', "-1e309": "-1e309", "-1e309 in a string": '"-1e309"',
    "just too large": "1.7976931348623159e308", "just too large in a string": '"1.7976931348623159e308"',
    "1e999999999999": "1e999999999999", "400 digits": "1" * 400, "400 digits in a string": '"%s"' % ("1" * 400),
    "-400 digits": "-" + "1" * 400, "exponent beyond any integer": "1e99999999999999999999999",
}
