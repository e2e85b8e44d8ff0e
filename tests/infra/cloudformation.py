"""Evaluates conditions, mappings and functions of a template, as CloudFormation would. A value that exists only after deployment
stays a name: `Ref` of a resource is `Queue`, its attribute `Queue.Arn`, unless `known` has its value.

    resources = resolve(template, {"QueueType": "fifo"})
    resources["Queue"]["Properties"]["VisibilityTimeout"] == 180
"""
import re

#: The values of pseudo parameters in these tests.
PSEUDO = {"AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws",
          "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "stack", "AWS::StackId": "stack-id"}
_NONE = object()  # AWS::NoValue: leaves the property or the list's entry out


class InvalidParameters(Exception):
    """A parameter or a rule of the template is violated; the message is the template's."""


def resolve(template, parameters=None, known=None, rename=lambda name: name):
    """Returns the resources that CloudFormation would make, with their properties evaluated. `rename` maps logical ids."""
    stack = _Stack(template, parameters or {}, known or {}, rename)
    stack.check()
    resources = {}
    for name, resource in template["Resources"].items():
        if stack.exists(name):
            resources[rename(name)] = {key: value if key in ("Type", "Condition") else stack.value(value)
                                       for key, value in resource.items()}
            if "DependsOn" in resource:
                needed = [resource["DependsOn"]] if isinstance(resource["DependsOn"], str) else resource["DependsOn"]
                resources[rename(name)]["DependsOn"] = [rename(one) for one in needed if stack.exists(one)]
    return resources


def outputs(template, parameters=None, known=None):
    """Returns the outputs of a template, evaluated."""
    stack = _Stack(template, parameters or {}, known or {}, lambda name: name)
    return {name: stack.value(output["Value"]) for name, output in template["Outputs"].items()
            if "Condition" not in output or stack.condition(output["Condition"])}


class _Stack:
    def __init__(self, template, parameters, known, rename):
        self.template, self.known, self.rename = template, known, rename
        declared = template.get("Parameters", {})
        unknown = set(parameters) - set(declared)
        assert not unknown, f"no such parameters: {unknown}"
        self.parameters = {name: str(parameters.get(name, one.get("Default"))) for name, one in declared.items()}

    def check(self):
        for name, one in self.template.get("Parameters", {}).items():
            value = self.parameters[name]
            if "AllowedValues" in one and value not in map(_text, one["AllowedValues"]):
                raise InvalidParameters(f"{name}={value}: one of {one['AllowedValues']}")
            if "AllowedPattern" in one and not re.fullmatch(one["AllowedPattern"], value):
                raise InvalidParameters(f"{name}={value}: {one.get('ConstraintDescription', one['AllowedPattern'])}")
            if one["Type"] == "Number" and not one.get("MinValue", -2**63) <= int(value) <= one.get("MaxValue", 2**63):
                raise InvalidParameters(f"{name}={value}: from {one.get('MinValue')} to {one.get('MaxValue')}")
        for rule in self.template.get("Rules", {}).values():
            if "RuleCondition" not in rule or self.value(rule["RuleCondition"]):
                for one in rule["Assertions"]:
                    if not self.value(one["Assert"]):
                        raise InvalidParameters(one["AssertDescription"])

    def exists(self, name):
        condition = self.template["Resources"][name].get("Condition")
        return condition is None or self.condition(condition)

    def condition(self, name):
        return self.value(self.template["Conditions"][name])

    def value(self, given):
        if isinstance(given, list):
            return [one for one in map(self.value, given) if one is not _NONE]
        if not isinstance(given, dict):
            return given
        if len(given) == 1:
            (function, argument), = given.items()
            if function == "Ref":
                return self.ref(argument)
            if function == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if function.startswith("Fn::"):
                return getattr(self, "fn_" + function[4:].lower())(argument)
        evaluated = {key: self.value(one) for key, one in given.items()}
        return {key: one for key, one in evaluated.items() if one is not _NONE}

    def ref(self, name):
        if name == "AWS::NoValue":
            return _NONE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            value = self.parameters[name]
            return int(value) if self.template["Parameters"][name]["Type"] == "Number" else value
        assert self.exists(name), f"Ref to {name}, which its condition excludes"
        return self.known.get(self.rename(name), self.rename(name))

    def fn_getatt(self, argument):
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        assert self.exists(name), f"GetAtt to {name}, which its condition excludes"
        whole = f"{self.rename(name)}.{attribute}"
        return self.known.get(whole, whole)

    def fn_if(self, argument):
        condition, yes, no = argument
        return self.value(yes if self.condition(condition) else no)

    def fn_equals(self, argument):
        one, other = map(self.value, argument)
        return _text(one) == _text(other)

    def fn_and(self, argument):
        return all(map(self.value, argument))

    def fn_or(self, argument):
        return any(map(self.value, argument))

    def fn_not(self, argument):
        return not self.value(argument[0])

    def fn_contains(self, argument):
        among, one = map(self.value, argument)
        return _text(one) in map(_text, among)

    def fn_findinmap(self, argument):
        name, first, second = map(self.value, argument)
        return self.template["Mappings"][name][_text(first)][_text(second)]

    def fn_join(self, argument):
        separator, parts = argument
        return separator.join(map(_text, self.value(parts)))

    def fn_split(self, argument):
        separator, text = map(self.value, argument)
        return text.split(separator)

    def fn_select(self, argument):
        index, parts = map(self.value, argument)
        return parts[int(index)]

    def fn_sub(self, argument):
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def put_in(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in given:
                return _text(self.value(given[name]))
            return _text(self.fn_getatt(name) if "." in name else self.ref(name))

        return re.sub(r"\$\{([^}]+)\}", put_in, text)


def _text(value):
    """Returns a value as text, as CloudFormation compares values."""
    return str(value).lower() if isinstance(value, bool) else str(value)
