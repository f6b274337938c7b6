"""CloudFront: whole distributions, published functions, VPC origins and policies for response headers."""

import secrets
from typing import Any

CLOUDFRONT_PREFIX_LIST = "pl-93a247fa"


class _Sent(dict[str, Any]):
    """A distribution's settings as they were sent; their names are attributes, too, as moto reads them."""

    def __init__(self, config: dict[str, Any]) -> None:
        always = ("Aliases", "CacheBehaviors", "CustomErrorResponses", "OriginGroups")
        super().__init__({name: {"Quantity": 0} for name in always} | config)
        self.caller_reference = config["CallerReference"]

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def keep_whole_distributions() -> None:
    """A distribution's settings are given back as they were sent; moto drops much of them.

    https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html
    """
    from moto.cloudfront import models

    models.DistributionConfig = _Sent  # type: ignore[misc, assignment]


def publish_functions() -> None:
    """A function can be published, and is DEPLOYED then; moto has no PublishFunction.

    https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_PublishFunction.html
    """
    from moto.cloudfront.responses import CloudFrontResponse
    from moto.cloudfront.urls import url_paths
    from moto.core.responses import ActionResult

    def publish_function(self: Any) -> ActionResult:
        function = self.backend.describe_function(self._get_param("Name"))
        function.status = "DEPLOYED"
        return ActionResult({"FunctionSummary": function.function_summary})

    CloudFrontResponse.publish_function = publish_function  # type: ignore[attr-defined]
    url_paths["{0}/2020-05-31/function/(?P<function_name>[^/]+)/publish$"] = CloudFrontResponse.dispatch


def _keep(kind: str, path: str, config: str, named: dict[str, str]) -> None:
    """Create, get, update and delete for a kind of thing that moto does not have: it is kept as it was sent.

    `named` are the calls' own names for the thing's parts: what the answer and the settings are called.
    """
    from moto.cloudfront.responses import CloudFrontResponse
    from moto.cloudfront.urls import url_paths
    from moto.core.exceptions import ServiceException
    from moto.core.responses import ActionResult, EmptyResult

    kept: dict[str, dict[str, Any]] = {}

    class Missing(ServiceException):
        code = named["missing"]

    def find(self: Any) -> dict[str, Any]:
        try:
            return kept[self._get_param("Id")]
        except KeyError:
            raise Missing("no such thing") from None

    def answer(thing: dict[str, Any]) -> ActionResult:
        return ActionResult({kind: thing, "ETag": thing["ETag"]})

    def create(self: Any) -> ActionResult:
        name = f"{kind[:2].lower()}_{secrets.token_hex(8)}"
        kept[name] = {
            "Id": name,
            "Arn": f"arn:aws:cloudfront::{self.current_account}:{path}/{name}",
            "Status": "Deployed",
            "CreatedTime": "2026-01-01T00:00:00Z",
            "LastModifiedTime": "2026-01-01T00:00:00Z",
            "ETag": "E" + secrets.token_hex(6).upper(),
            config: self._get_param(config),
        }
        self.backend.tagger.tag_resource(kept[name]["Arn"], (self._get_param("Tags") or {}).get("Items") or [])
        return answer(kept[name])

    def get(self: Any) -> ActionResult:
        return answer(find(self))

    def update(self: Any) -> ActionResult:
        thing = find(self)
        thing |= {config: self._get_param(config), "ETag": "E" + secrets.token_hex(6).upper()}
        return answer(thing)

    def delete(self: Any) -> ActionResult:
        thing = find(self)
        del kept[thing["Id"]]
        return answer(thing) if named["deleted"] == "told" else EmptyResult()

    for verb, function in {"create": create, "get": get, "update": update, "delete": delete}.items():
        setattr(CloudFrontResponse, f"{verb}_{named['call']}", function)
    for tail in ("", "/(?P<id>[^/]+)"):
        url_paths[f"{{0}}/2020-05-31/{path}{tail}$"] = CloudFrontResponse.dispatch


def have_vpc_origins() -> None:
    """VPC origins; moto has none.

    https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateVpcOrigin.html
    """
    named = {"call": "vpc_origin", "missing": "EntityNotFound", "deleted": "told"}
    _keep("VpcOrigin", "vpc-origin", "VpcOriginEndpointConfig", named)


def have_response_headers_policies() -> None:
    """Policies for response headers; moto has none.

    https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateResponseHeadersPolicy.html
    """
    named = {"call": "response_headers_policy", "missing": "NoSuchResponseHeadersPolicy", "deleted": "untold"}
    _keep("ResponseHeadersPolicy", "response-headers-policy", "ResponseHeadersPolicyConfig", named)


def keep_one_prefix_list() -> None:
    """The list of CloudFront's addresses has one id for good in each region; moto makes one up at each start.

    https://docs.aws.amazon.com/vpc/latest/userguide/working-with-aws-managed-prefix-lists.html
    """
    from moto.ec2.models.managed_prefixes import ManagedPrefixListBackend

    create = ManagedPrefixListBackend.create_default_pls

    def with_one_id(self: Any) -> None:
        create(self)
        name = "com.amazonaws.global.cloudfront.origin-facing"
        (found,) = [one for one in self.managed_prefix_lists.values() if one.prefix_list_name == name]
        del self.managed_prefix_lists[found.id]
        found.id = CLOUDFRONT_PREFIX_LIST
        self.managed_prefix_lists[found.id] = found

    ManagedPrefixListBackend.create_default_pls = with_one_id  # type: ignore[method-assign]


MENDS = (
    keep_whole_distributions,
    publish_functions,
    have_vpc_origins,
    have_response_headers_policies,
    keep_one_prefix_list,
)
