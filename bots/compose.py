"""The composition root: the one place that chooses concrete classes and wires them together."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from core.access.admission import AccessList, Admission
from core.access.quotas import UserLimits, UserQuotas
from core.commands.handlers import Handlers
from core.domain.options import Switch
from core.domain.ports import Model, Platform
from core.files.attachments import AttachmentReader, FileBounds
from core.files.reader import FileLimits, FileReader
from core.inbound.buttons import ButtonActions
from core.inbound.dispatcher import Dispatcher
from core.inbound.edits import EditHandler
from core.inbound.followups import FollowUps
from core.inbound.introduction import Introduction
from core.inbound.otherbots import OtherBots
from core.inbound.undoing import Undoing
from core.nebula.client import Nebula
from core.nebula.retries import Before
from core.nebula.wrappers.account_limits import TIERS, AccountRateLimits, Tier
from core.nebula.wrappers.breaking import Breakers, BreakingModel
from core.nebula.wrappers.deadline import DeadlineModel
from core.nebula.wrappers.fallback import FallbackModel
from core.nebula.wrappers.rate_limited import RateLimitedModel
from core.prompt.vision import Vision
from core.ratelimit.limiter import RateLimiter
from core.settings.config import Config
from core.settings.parameters import DAY_SECONDS
from core.store.mailbox import Retention
from core.store.presence import Presence
from core.store.quotas import Quotas
from core.store.ratelimits import RedisRateLimit
from core.store.ratings import Ratings
from core.store.records import ConversationLookups
from core.store.redis.check import ServerInfo, check
from core.store.redis.client import connection
from core.store.redis.embedded import embedded
from core.store.redis.setup import Setup, agree
from core.store.redis.spaces import Spaces
from core.store.redis.url import parse
from core.store.settings import SettingsStore
from core.store.threads import AskedThreads
from core.store.turns import Turns
from core.store.windows import ModelWindows
from core.summaries.stored import StoredSummaries
from core.summaries.writer import BACKOFF_SECONDS, SummaryWriter
from core.turns.accepted import AcceptedQuestions
from core.turns.assistant import Assistant
from core.turns.background import Background
from core.turns.drawing import Painter, PictureOptions
from core.turns.inbox import Inbox
from core.turns.lease import HANDOVER_SECONDS
from core.turns.reading import READ_SECONDS, RoomReader
from core.turns.runner import TurnRunner
from core.turns.surfaces import Surfaces
from core.turns.titles import Titles

# How long a request waits for a model that the server has refused, if there is a fallback.
HOLD_WAIT_SECONDS = 5.0
CROWDED = "All conversations are on one node of the Cluster. Set REDIS_PARTITIONS to a multiple of its number of nodes."


@dataclass(frozen=True, slots=True)
class Storage:
    """Redis, a line that says where it is, what it said about itself, and warnings about it."""

    redis: "Redis"
    where: str
    info: ServerInfo
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bot:
    """The parts of the core that platforms and commands use."""

    dispatcher: Dispatcher
    inbox: Inbox
    runner: TurnRunner
    assistant: Assistant
    records: ConversationLookups
    limiter: RateLimiter


@asynccontextmanager
async def storage(config: Config) -> AsyncIterator[Storage]:
    """Connect to the Redis at REDIS_URL, or start the embedded one in DATA_DIR. Raises StoreError."""
    async with AsyncExitStack() as stack:
        if config.redis_url:
            url, where = config.redis_url, f"Redis at {parse(config.redis_url).where}"
        else:
            server = await stack.enter_async_context(embedded(config.data_dir, config.redis_server))
            url, where = server.url, f"embedded Redis, data in {server.data}"
        redis = await stack.enter_async_context(connection(url))
        info = await check(redis)
        await agree(redis, setup_of(config))
        crowded = info.nodes > 1 and config.redis_partitions == 1
        yield Storage(redis, where, info, info.warnings + ((CROWDED,) if crowded else ()))


def setup_of(config: Config) -> Setup:
    """How this process stores things."""
    encryption = config.encryption
    return Setup(config.redis_partitions, encryption.encrypts, encryption.decrypts, encryption.accepts_plain)


@asynccontextmanager
async def chat_model(config: Config, redis: "Redis", breakers: Breakers | None = None) -> AsyncIterator[Model]:
    """The model that answers questions: the Nebula API within the account's limits, with breakers and a fallback."""
    async with model_and_client(config, redis, breakers or Breakers()) as (model, _):
        yield model


@asynccontextmanager
async def model_and_client(config: Config, redis: "Redis", breakers: Breakers) -> AsyncIterator[tuple[Model, Nebula]]:
    """The same, and the client under it: what this learns of its address by other calls counts for answers, too."""
    account = account_limits(config, redis)
    async with nebula(config, account.reserve_retry) as client:
        yield wrapped(config, client, account, breakers), client


def nebula(config: Config, before_retry: Before | None = None) -> Nebula:
    """The client of the Nebula API alone. `before_retry`: see Nebula."""
    return Nebula(
        api_key=config.nebula_api_key.get_secret_value() if config.nebula_api_key else "",
        base_url=config.nebula_base_url,
        platform_url=config.nebula_platform_url,
        first_token=config.nebula_first_token_seconds,
        between_tokens=config.nebula_stall_seconds,
        max_streams=config.nebula_streams,
        before_retry=before_retry,
    )


def picture_options(config: Config) -> PictureOptions:
    """How pictures are drawn."""
    width, height = map(int, config.nebula_image_size.split("x"))
    steps, guidance = config.nebula_image_steps, config.nebula_image_guidance
    return PictureOptions(config.nebula_image_model, width, height, steps, guidance)


def user_limits(config: Config) -> UserLimits:
    """What each person and each channel may use."""
    return UserLimits(config.person_requests, config.person_tokens, config.channel_requests, config.channel_tokens)


def account_limits(config: Config, redis: "Redis") -> AccountRateLimits:
    """The rate limits of the Nebula account: those of its tier, unless the configuration gives others."""
    tier = TIERS.get(config.nebula_tier or "", Tier())
    limits = Tier(
        config.nebula_requests_per_minute or tier.requests_per_minute,
        config.nebula_tokens_per_minute or tier.tokens_per_minute,
        config.nebula_requests_per_day or tier.requests_per_day,
    )
    return AccountRateLimits(Quotas(redis, remember=900), limits, patience=config.nebula_patience_seconds)


def wrapped(config: Config, model: Model, account: AccountRateLimits, breakers: Breakers) -> Model:
    """This model within these limits, with these breakers and a fallback.

    The order, from the inside: the deadline ends a silent request, which its breaker must see as a failure. The breaker
    decides at the moment of sending, after the wait for capacity: meanwhile it may have opened, and a probe must not
    wait. The breaker is looked at before that wait too, so that nobody waits for nothing. The fallback is
    outermost: its request needs the permit of another breaker and capacity of its own. It sets both deadlines, because
    waiting, the first model and the second share one. A request that has a fallback does not wait long for a model that
    the server has refused, so the account is there twice.
    """
    breaking = BreakingModel(DeadlineModel(model), breakers)
    return FallbackModel(
        RateLimitedModel(breaking, account, before_wait=breakers.check, hold_wait=HOLD_WAIT_SECONDS),
        RateLimitedModel(breaking, account, before_wait=breakers.check),
        fallback=config.nebula_fallback_model,
        deadline=config.nebula_deadline_seconds,
    )


def assemble(
    config: Config,
    redis: "Redis",
    model: Model,
    platforms: Sequence[Platform],
    limiter: RateLimiter | None = None,
    *,
    spaces: Spaces | None = None,
    handover: float = HANDOVER_SECONDS,
    reading: float = READ_SECONDS,
    backoff: tuple[float, ...] = BACKOFF_SECONDS,
    file_limits: FileLimits | None = None,
) -> Bot:
    """Build the core with this Redis, this model (see `chat_model`) and these platforms. `limiter`: replaces the usual
    one. `spaces`: see Spaces. `handover`: how long to watch a turn that was handed back, in seconds.
    `reading`: how long a question waits for what was said around it. `backoff`: see SummaryWriter.
    `file_limits`: what reading a file may cost."""
    retention = Retention(
        lease=config.lease_seconds,
        keep=config.history_days * DAY_SECONDS,
        inbox=config.inbox_limit,
        exchanges=config.history_exchanges,
        unreadable=config.unreadable_seconds,
    )
    spaces = spaces or Spaces()
    turns = Turns(redis, retention, config.redis_partitions, config.encryption, spaces)
    records = ConversationLookups(turns.mailboxes)
    settings = SettingsStore(
        redis, config.defaults, {platform.name: platform.defaults for platform in platforms}, spaces
    )
    threads = AskedThreads(turns.mailboxes)
    ratings = Ratings(redis, retention.keep, spaces, config.encryption)
    external = config.access_external is Switch.ON
    access = AccessList(config.access_allow, config.access_deny, external=external, bots=config.access_bots)
    people = user_limits(config)
    admission = Admission(access, UserQuotas(Quotas(redis), people, spaces.own), longest=config.question_characters)
    rate_limits = RedisRateLimit(redis, spaces)
    limiter = limiter or RateLimiter(rate_limits)
    surfaces = Surfaces({platform.name: platform for platform in platforms})
    accepted, background = AcceptedQuestions(turns), Background()
    assistant = Assistant(
        model,
        limiter,
        RoomReader(surfaces, reading),
        context=config.nebula_context_tokens,
        pages=config.reply_pages,
        characters=config.reply_characters,
        windows=ModelWindows(redis),
        summaries=SummaryWriter(
            StoredSummaries(turns.mailboxes),
            model,
            keep=retention.keep,
            exchanges=retention.exchanges,
            backoff=backoff,
        ),
        background=background,
        files=AttachmentReader(
            surfaces.fetch,
            FileReader(file_limits),
            FileBounds(config.file_bytes, config.question_bytes, config.files_seconds),
        ),
        vision=Vision(
            config.nebula_vision_models, config.nebula_vision_model, surely=config.given("nebula_vision_model")
        ),
        painter=Painter(model, picture_options(config)),
    )
    titles = Titles(model, turns, records, surfaces, background) if config.reply_titles is Switch.ON else None
    runner = TurnRunner(
        turns,
        settings,
        assistant,
        surfaces,
        accepted,
        background,
        lambda: rate_limits.silent,
        quota=admission.quota,
        titles=titles,
        drain_seconds=config.drain_seconds,
        handover_seconds=handover,
        attempts=config.turn_attempts,
        at_once=config.turns_at_once,
    )
    inbox = Inbox(turns, records, settings, admission, runner, surfaces, accepted, background)
    undoing = Undoing(records, settings, surfaces, background)
    dispatcher = Dispatcher(
        inbox,
        turns,
        Handlers(settings, turns, records, threads, ratings, model, people.sentence),
        ButtonActions(
            inbox, turns, records, settings, ratings, undoing, access, vision_model=config.nebula_vision_model
        ),
        EditHandler(inbox, turns, records, settings, admission, surfaces, background),
        Presence(redis, config.missed_minutes * 60, spaces),
        rate_limits,
        FollowUps(settings, threads),
        OtherBots(turns, access),
        Introduction(turns, access, config.operator, on=config.introduction is Switch.ON),
        undoing,
        access,
    )
    return Bot(dispatcher, inbox, runner, assistant, records, limiter)
