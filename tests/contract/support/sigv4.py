"""Checks SigV4 with an implementation that is not ours: botocore's signer, over the headers that the sender signed."""
import calendar
import hashlib
import re
import time
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, ?"
    r"SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})")


class _SignerOf(SigV4Auth):
    """botocore's canonical request and key derivation, over exactly the headers that the sender names."""

    def __init__(self, credentials, service, region, names):
        super().__init__(credentials, service, region)
        self._names = names

    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name in self._names:
            for value in request.headers.get_all(name) or []:
                headers[name] = value
        return headers


def faults(request, secrets, region, service="aps", session_token=None, now=None):
    """Returns a sentence for each error in the signature of a received request.

    `secrets` maps access keys to secrets. The request must have `session_token`, signed, if it is given.
    """
    match = _AUTHORIZATION.fullmatch(request.header("Authorization") or "")
    if not match:
        return ["the Authorization header is missing or not SigV4"]
    key, day, scope_region, scope_service, signed, signature = match.groups()
    names = signed.split(";")
    found = []
    if scope_service != service:
        found.append(f"signed for the service {scope_service}, not {service}")
    if region and scope_region != region:
        found.append(f"signed for the region {scope_region}, not {region}")
    if key not in secrets:
        return found + [f"signed with the unknown access key {key}"]
    if names != sorted(names):
        found.append("SignedHeaders are not sorted")
    for name in ("host", "x-amz-date"):
        if name not in names:
            found.append(f"{name} is not signed")
    for name in names:
        if request.header(name) is None:
            found.append(f"{name} is signed but was not sent")
    token = request.header("X-Amz-Security-Token")
    if token != session_token:
        found.append("the session token is not the one of the credentials")
    if token is not None and "x-amz-security-token" not in names:
        found.append("the session token is not signed")
    date = request.header("X-Amz-Date") or ""
    if not re.fullmatch(r"\d{8}T\d{6}Z", date):
        return found + [f"X-Amz-Date is {date!r}"]
    if not date.startswith(day):
        found.append("X-Amz-Date is not of the day in the scope")
    age = (now or time.time()) - calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    if abs(age) > 300:
        found.append(f"X-Amz-Date is {age:.0f} s old")
    digest = request.header("X-Amz-Content-Sha256")
    if digest is not None and digest != hashlib.sha256(request.body).hexdigest():
        found.append("X-Amz-Content-Sha256 is not the hash of the body as sent")
    if found:
        return found
    path, _, query = request.path.partition("?")
    again = AWSRequest(method=request.method, url=f"http://{request.header('Host')}{path}", data=request.body)
    if query:
        again.params = parse_qsl(query, keep_blank_values=True)
    for name in names:
        again.headers[name] = request.header(name)
    if digest is not None and "x-amz-content-sha256" not in names:
        again.headers["X-Amz-Content-SHA256"] = digest
    again.context["timestamp"] = date
    signer = _SignerOf(Credentials(key, secrets[key]), service, scope_region, names)
    canonical = signer.canonical_request(again)
    if signer.signature(signer.string_to_sign(again, canonical), again) != signature:
        found.append("the signature differs from botocore's")
    return found
