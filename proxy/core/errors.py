"""What can go wrong, as one tree.

    ProxyError                       status  code                   outcome          retryable
    ├─ RequestInvalid                400     invalid_request        client_error     no
    ├─ KeyInvalid                    401     invalid_api_key        client_error     no
    ├─ ModelNotFound                 404     model_not_found        client_error     no
    ├─ RouteNotFound                 404     not_found              client_error     no
    ├─ MethodNotAllowed              405     method_not_allowed     client_error     no
    ├─ RequestTooLarge               413     request_too_large      client_error     no
    ├─ RequestTimeout                408     request_timeout        client_error     no
    ├─ RateLimited                   429     rate_limit_exceeded    rate_limited     no
    ├─ UpstreamError
    │  ├─ UpstreamRefused            theirs  theirs                 client_error     no
    │  ├─ UpstreamAuth               502     upstream_auth          upstream_error   yes
    │  ├─ UpstreamRateLimited        429     upstream_rate_limit    rate_limited     yes
    │  ├─ UpstreamUnavailable        502     upstream_unavailable   upstream_error   yes
    │  ├─ UpstreamTimeout            504     upstream_timeout       timeout          yes
    │  └─ UpstreamProtocol           502     upstream_protocol      upstream_error   yes
    ├─ NoTarget                      503     no_target              upstream_error   no
    ├─ ShuttingDown                  503     server_shutdown        shutdown         no
    └─ InternalError                 500     internal_error         internal_error   no

`retryable` means that the next target may be tried, as long as no generated content has been sent.
The codes are those of `docs/errors.md`; `type` follows OpenAI's vocabulary.
"""

import math
from enum import StrEnum
from typing import Any, ClassVar


class Outcome(StrEnum):
    """How a request ended; the closed set of the `outcome` label of `requests_total`."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    RATE_LIMITED = "rate_limited"
    UPSTREAM_ERROR = "upstream_error"
    TIMEOUT = "timeout"
    CLIENT_DISCONNECT = "client_disconnect"
    SHUTDOWN = "shutdown"
    INTERNAL_ERROR = "internal_error"

    # A look-up by a member must not call Python's own `Enum.__hash__`.
    __hash__ = str.__hash__


class ProxyError(Exception):
    """Something that ends a request and that the client is told about.

    Arguments: `message` for the client, `param` the offending request key or None, `retry_after_s` seconds for
    the `Retry-After` header or None, `code`, `type` and `status` where they differ from the class's own.
    """

    status: int = 500
    type: str = "server_error"
    code: str | int | None = "internal_error"
    outcome: ClassVar[Outcome] = Outcome.INTERNAL_ERROR
    retryable: ClassVar[bool] = False
    log_level: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - the wire's word
        code: str | int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.status = status or self.status
        self.type = type or self.type
        self.code = self.code if code is None else code

    def body(self) -> dict[str, Any]:
        """The object that goes on the wire: `{"error": {"message", "type", "param", "code"}}`."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to the error, lower-case: when to come back, and with what."""
        headers = {"www-authenticate": "Bearer"} if self.status == 401 else {}  # noqa: PLR2004 - RFC 9110, section 11.6.1
        if self.retry_after_s is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        return headers

    def event_body(self) -> dict[str, Any]:
        """The same for an error event in a stream that has begun."""
        return self.body()


class RequestInvalid(ProxyError):
    """The request itself is wrong; `param` names the key."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    outcome = Outcome.CLIENT_ERROR
    log_level = "info"


class KeyInvalid(RequestInvalid):
    """No client key, or a wrong one."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class ModelNotFound(RequestInvalid):
    """No route of this caller matches the model."""

    status = 404
    code = "model_not_found"


class RouteNotFound(RequestInvalid):
    """No such path."""

    status = 404
    code = "not_found"


class MethodNotAllowed(RequestInvalid):
    """The path exists, but not with this method."""

    status = 405
    code = "method_not_allowed"


class RequestTooLarge(RequestInvalid):
    """The body is larger than `server.max_request_bytes`."""

    status = 413
    code = "request_too_large"


class RequestTimeout(RequestInvalid):
    """The request took too long to arrive."""

    status = 408
    code = "request_timeout"


class RateLimited(ProxyError):
    """One of our own limits."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    outcome = Outcome.RATE_LIMITED
    log_level = "info"


class UpstreamError(ProxyError):
    """Something that the upstream said or did. `upstream_code` and `upstream_type` are its own words, where it gave any."""

    upstream_code: str | int | None = None
    upstream_type: str | None = None
    status = 502
    type = "upstream_error"
    outcome = Outcome.UPSTREAM_ERROR
    log_level = "warning"

    def event_body(self) -> dict[str, Any]:
        """No status can tell any more what happened, so the upstream's own code and type do, where it gave any."""
        body = self.body()
        body["error"]["code"] = self.upstream_code if self.upstream_code is not None else self.code
        body["error"]["type"] = self.upstream_type or self.type
        return body


class UpstreamRefused(UpstreamError):
    """The upstream refuses this request for what it says; status, code and message are the upstream's."""

    status = 400
    type = "invalid_request_error"
    code = None
    outcome = Outcome.CLIENT_ERROR
    log_level = "info"


class UpstreamAuth(UpstreamError):
    """The upstream refuses the key that we sent."""

    code = "upstream_auth"
    retryable = True


class UpstreamRateLimited(UpstreamError):
    """The upstream throttles us."""

    status = 429
    type = "rate_limit_error"
    code = "upstream_rate_limit"
    outcome = Outcome.RATE_LIMITED
    retryable = True


class UpstreamUnavailable(UpstreamError):
    """The upstream cannot be reached, answers 5xx, or breaks off."""

    code = "upstream_unavailable"
    retryable = True


class UpstreamTimeout(UpstreamError):
    """The upstream is slower than one of the provider's `timeouts`."""

    status = 504
    type = "timeout_error"
    code = "upstream_timeout"
    outcome = Outcome.TIMEOUT
    retryable = True


class UpstreamProtocol(UpstreamError):
    """The upstream's answer is not a completion, or ends before it is complete."""

    code = "upstream_protocol"
    retryable = True


class NoTarget(ProxyError):
    """Every target of the route is cooling down."""

    status = 503
    code = "no_target"
    outcome = Outcome.UPSTREAM_ERROR
    log_level = "warning"


class ShuttingDown(ProxyError):
    """The process is draining."""

    status = 503
    code = "server_shutdown"
    outcome = Outcome.SHUTDOWN
    log_level = "info"


class InternalError(ProxyError):
    """Our bug. The message never says more than the request id."""
