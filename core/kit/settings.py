"""Settings of a deployment, as plain values. The host reads them from the environment and `jishi.toml`."""

from collections.abc import Mapping

import msgspec

from core.kit.crypto import Vault


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are in seconds. `docs/settings.md` describes each."""

    data: str = ".jishi"
    host: str = "127.0.0.1"
    port: int = 8000
    web_processes: int = 1
    worker_threads: int = 8
    worker_metrics: str = ""
    database_url: str = ""
    app_database_url: str = ""
    redis_url: str = ""
    secret_file: str = ""
    public_url: str = ""
    # First value of the enabled set; afterwards the database decides. None: all built-in plugins.
    plugins: tuple[str, ...] | None = None
    pins: Mapping[str, bool] = {}
    pool_size: int = 4
    sandbox: bool = False
    sandbox_url: str = ""
    sandbox_port: int = 0
    sandbox_account: str = "market"
    demo: bool = False
    registration: bool = True
    currency: str = "CNY"
    unpaid_ttl: int = 1800
    unpaid_trades_per_account: int = 20
    auto_receive: int = 10 * 86400
    auto_service: int = 30 * 86400
    aftersales_window: int = 7 * 86400
    aftersales_answer: int = 2 * 86400
    aftersales_return: int = 7 * 86400
    aftersales_inspect: int = 10 * 86400
    waybill_changes: int = 86400
    payout_every: int = 86400
    access_token_ttl: int = 3600
    refresh_token_ttl: int = 30 * 86400
    rate_limits: bool = True
    access_log: bool = False
    otlp: str = ""


class Env(msgspec.Struct, frozen=True):
    """What every transaction can ask its host for: settings and the vault of secrets."""

    settings: Settings
    vault: Vault
