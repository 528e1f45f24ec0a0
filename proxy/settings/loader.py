"""One YAML file → `Settings`, or every mistake in it at once."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from proxy.settings.builtins import Library
from proxy.settings.checking import Branch, Items, SecretReference, check
from proxy.settings.document import MAX_TEXT_BYTES, compose
from proxy.settings.formats import is_loopback, parse_listen
from proxy.settings.layers import plain
from proxy.settings.mistakes import Mistake, Report, SettingsError
from proxy.settings.model import Cors, Limits, Server, Settings, Telemetry
from proxy.settings.providers import ProviderTable
from proxy.settings.references import References
from proxy.settings.routes import build_clients, build_routes, check_clients, check_routes
from proxy.settings.shapes import TABLE

CONFIG_VARIABLE = "REASONING_PROXY_CONFIG"
DEFAULT_PATH = Path("config") / "proxy.yaml"

_PUBLIC = "every machine that reaches this address could use your keys"
_PUBLIC_HINT = "list `clients`, listen on 127.0.0.1, or say `open: true`"


def find_config(explicit: Path | str | None, env: Mapping[str, str], cwd: Path) -> Path | None:
    """The file to read: the one given, else `REASONING_PROXY_CONFIG`, else `config/proxy.yaml` below `cwd` if it is there."""
    if explicit is not None:
        return Path(explicit)
    if env.get(CONFIG_VARIABLE):
        return Path(env[CONFIG_VARIABLE])
    return cwd / DEFAULT_PATH if (cwd / DEFAULT_PATH).is_file() else None


def load(path: Path, env: Mapping[str, str], builtin_dir: Path | None = None) -> Settings:
    """The settings of the file at `path`. Raises SettingsError with all mistakes, also where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except FileNotFoundError:
        raise SettingsError([Mistake(str(path), 0, 0, "", "no such file")]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a usable path"
        raise SettingsError([Mistake(str(path), 0, 0, "", f"cannot be read: {reason}")]) from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise SettingsError([Mistake(str(path), line, column, "", "not UTF-8 text")]) from None
    return loads(text, str(path), env, builtin_dir)


def loads(text: str, source: str, env: Mapping[str, str], builtin_dir: Path | None = None) -> Settings:
    """The settings of a YAML text. `source` names it in messages; its folder is where relative secret files are."""
    report = Report()
    node = compose(text, source, report)
    tree = check(TABLE, node, (), report) if node is not None else None
    if not isinstance(tree, Branch):
        raise SettingsError(report.mistakes)
    references = References(env)
    tables = ProviderTable(tree.branch("providers"), Library(report, builtin_dir), references, report)
    tables.check()
    models = check_routes(tree.children.get("routes"), tables, report)
    check_clients(tree.children.get("clients"), models, references, report)
    _check_server(tree, report)
    _check_salt(tree.branch("logs"), references, report)
    report.raise_if_any()

    providers = tables.build()
    return Settings(
        server=_server(tree.branch("server")),
        clients=build_clients(tree.children.get("clients"), references),
        providers=providers,
        routes=build_routes(tree.children.get("routes"), tables, providers),
        source=source,
        telemetry=_telemetry(tree, references),
    )


def with_listen(settings: Settings, listen: str) -> Settings:
    """The same settings on another address (`serve --listen`), under the same rule. Raises SettingsError."""
    message = None
    try:
        parse_listen(listen)
    except ValueError as error:
        message, hint = f'"{listen}" is not an address', str(error)
    else:
        if not (is_loopback(listen) or settings.clients or settings.server.open):
            message, hint = f"{listen} is public and no `clients` are listed: {_PUBLIC}", _PUBLIC_HINT
    if message:
        raise SettingsError([Mistake("--listen", 0, 0, "", message, hint)])
    return dataclasses.replace(settings, server=dataclasses.replace(settings.server, listen=listen))


def with_admin(settings: Settings, admin: str) -> Settings:
    """The same settings with the second listener elsewhere (`serve --admin`). Raises SettingsError."""
    if admin == settings.server.listen and not admin.endswith(":0"):
        raise SettingsError([Mistake("--admin", 0, 0, "", f"{admin} is the address of the API", "choose another port")])
    return dataclasses.replace(settings, server=dataclasses.replace(settings.server, admin=admin))


def _check_server(tree: Branch, report: Report) -> None:
    server = tree.branch("server")
    listen = server.value("listen", Server().listen)
    clients = tree.children.get("clients")
    guarded = isinstance(clients, Items) and bool(clients.items)
    if not (is_loopback(listen) or guarded or server.value("open", Server().open)):
        place = server.marks.get("listen", server.mark)
        message = f"{listen} is public and no `clients` are listed: {_PUBLIC}"
        report.add(place, ("server", "listen"), message, _PUBLIC_HINT)
    if server.value("admin") == listen and not listen.endswith(":0"):
        report.add(server.marks["admin"], ("server", "admin"), "the same address as `listen`")


def _server(branch: Branch) -> Server:
    values = plain(branch)
    seconds = {f"{key}_s": values.pop(key) for key in ("heartbeat", "drain") if key in values}
    limits, cors = Limits(**values.pop("limits", {})), values.pop("cors", None)
    if cors is not None:
        cors = Cors(tuple(cors["origins"]), cors.get("max_age", Cors(()).max_age_s))
    return Server(**values, **seconds, limits=limits, cors=cors)


def _check_salt(logs: Branch, references: References, report: Report) -> None:
    reference = logs.value("key_salt")
    if isinstance(reference, SecretReference):
        try:
            references.secret(reference)
        except ValueError as error:
            report.add(reference.mark, ("logs", "key_salt"), str(error))


def _telemetry(tree: Branch, references: References) -> Telemetry:
    known = Telemetry()
    metrics, logs = plain(tree.branch("metrics")), plain(tree.branch("logs"))
    salt = logs.get("key_salt")
    return Telemetry(
        max_series=metrics.get("max_series", known.max_series),
        aliases=metrics.get("aliases", known.aliases),
        client_names=logs.get("client_names", known.client_names),
        key_salt=references.secret(salt) if salt is not None else None,
        traces=tree.branch("traces").value("export", known.traces),
    )
