"""What Slack's error codes mean for us: one table of the codes, and the translation into our errors."""

import json
from collections.abc import Mapping

from slack_sdk.errors import SlackApiError

from core import metrics
from core.domain.errors import Forbidden, Frozen, Gone, PlatformError, Rejected, SlowDown, TooLong, Unreachable

# Used when Slack slows us down without saying for how long.
_DEFAULT_RETRY_AFTER_SECONDS = 5.0


class Unclear(Unreachable):
    """Slack refuses a call with a code that is not in the table. It may pass, so the call is repeated a few times."""


class NoApi(Rejected):
    """What answers is not Slack's API: it refuses without a code of Slack's, as a wrong address does."""


# These refuse the same call everywhere, until somebody changes the app, its token or the workspace.
_LASTING = frozenset(
    {
        *("not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "no_permission"),
        *("missing_scope", "not_allowed_token_type", "access_denied", "team_access_not_granted", "team_not_found"),
        *("ekm_access_denied", "enterprise_is_restricted", "two_factor_setup_required", "not_authorized"),
        *("unknown_method", "method_deprecated", "deprecated_endpoint", "feature_not_enabled", "not_supported"),
        *("as_user_not_supported", "metadata_must_be_sent_from_app", "file_uploads_disabled"),
    }
)

# docs.slack.dev/reference/methods: the error lists of the methods that we call, sorted by what helps.
CODES: Mapping[type[PlatformError], frozenset[str]] = {
    # the same call helps after a pause
    SlowDown: frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"}),
    # the same call may help later: trouble of Slack's, or a workspace or channel on its way to another place
    Unreachable: frozenset(
        {
            *("internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"),
            *("team_added_to_org", "org_login_required", "external_channel_migrating", "accesslimited"),
        }
    ),
    # a shorter content helps
    TooLong: frozenset({"msg_too_long", "msg_blocks_too_long", "msg_blocks_too_many"}),
    # another content helps: it concerns this message alone
    Rejected: frozenset(
        {
            *("no_text", "markdown_text_conflict"),
            *("invalid_blocks", "invalid_blocks_format", "invalid_chunks", "invalid_attachments"),
            *("too_many_attachments", "attachment_payload_limit_exceeded", "too_many_contact_cards"),
            *("invalid_arguments", "invalid_arg_name", "invalid_array_arg", "invalid_charset", "invalid_form_data"),
            *("invalid_json", "json_not_object", "invalid_post_type", "missing_post_type"),
            *("invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large"),
            *("slack_connect_blocked_file_type", "slack_connect_file_link_sharing_blocked"),
        }
    ),
    # another message helps
    Frozen: frozenset({"cant_update_message", "edit_window_closed", "block_mismatch", "streaming_state_conflict"}),
    # nobody would read it any more
    Gone: frozenset(
        {
            *("message_not_found", "channel_not_found", "thread_not_found", "cannot_reply_to_message"),
            *("is_archived", "is_inactive"),
        }
    ),
    # another place helps, or another message; and what helps nowhere
    Forbidden: _LASTING
    | frozenset(
        {
            # in this channel, thread or direct message
            *("not_in_channel", "user_not_in_channel", "user_not_found", "user_not_visible", "users_not_found"),
            *("restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel"),
            *("restricted_action_thread_locked", "restricted_action_non_threadable_channel", "thread_locked"),
            *("messages_tab_disabled", "channel_type_not_supported", "invalid_thread_ts", "cannot_dm_bot"),
            *("missing_recipient_team_id", "missing_recipient_user_id", "user_disabled", "channel_is_limited_access"),
            # of this message, file, reaction, form or address
            *("message_not_in_streaming_state", "message_not_owned_by_app", "stopped_by_user", "cant_delete_message"),
            *("compliance_exports_prevent_deletion", "file_not_found", "file_deleted", "cant_delete_file"),
            *(
                "already_reacted",
                "no_reaction",
                "too_many_reactions",
                "too_many_emoji",
                "invalid_name",
                "bad_timestamp",
            ),
            *(
                "invalid_trigger_id",
                "expired_trigger_id",
                "exchanged_trigger_id",
                "view_too_large",
                "duplicate_external_id",
            ),
            *("invalid_url", "used_url", "expired_url"),
        }
    ),
}
_MEANING = {code: meaning for meaning, codes in CODES.items() for code in codes}


def translated(error: SlackApiError) -> PlatformError:
    """Translate Slack's refusal into one of our errors."""
    response = error.response
    # if the body is not JSON this is aiohttp's response, otherwise the SDK's
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    code = code_of(error)
    detail = f"missing_scope: {response.get('needed')}" if code == "missing_scope" else code or f"HTTP {status}"
    return refusal(code, status, response.headers, detail)


def refusal(code: str, status: int, headers: Mapping[str, str], detail: str) -> PlatformError:
    """Return our error for Slack's code ("" if there is none) and the HTTP status."""
    meaning = _MEANING.get(code)
    if meaning is SlowDown or status == 429:
        metrics.PLATFORM_429S.labels("slack").inc()
        given = headers.get("Retry-After", "")
        return SlowDown(detail, float(given) if given.isdecimal() else _DEFAULT_RETRY_AFTER_SECONDS)
    if status >= 500 or (not code and status < 400):
        return Unreachable(detail)
    if meaning is None:
        return Unclear(detail) if code else NoApi(detail)
    return meaning(detail)


def known(code: str) -> bool:
    """Return whether the code is in the table."""
    return code in _MEANING


def lasting(error: PlatformError) -> bool:
    """Return whether Slack refuses such a call everywhere, until somebody changes the app or the workspace."""
    return code_of(error) in _LASTING


def code_of(error: BaseException | None) -> str:
    """Return Slack's error code behind an error of ours or of the SDK, "" if there is none."""
    if isinstance(error, PlatformError):
        error = error.__cause__
    data = getattr(error.response, "data", None) if isinstance(error, SlackApiError) else None
    return str(data.get("error", "")) if isinstance(data, dict) else ""


def details_of(error: BaseException) -> str:
    """Return what Slack says is wrong with the arguments, such as which block is invalid."""
    cause = error.__cause__ if isinstance(error, PlatformError) else error
    data = getattr(cause.response, "data", None) if isinstance(cause, SlackApiError) else None
    if not isinstance(data, dict):
        return ""
    metadata = data.get("response_metadata")
    return f"{data.get('errors', '')} {metadata.get('messages', '') if isinstance(metadata, dict) else ''}"


def code_in(body: str) -> str:
    """Return the error code in the body of a response, "" if there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(found.get("error", "unknown")) if isinstance(found, dict) and found.get("ok") is False else ""
