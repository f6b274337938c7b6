"""daemon.json belongs to the operator: our options are merged into it, and nothing of theirs is changed."""


class ConflictError(Exception):
    """The operator's file says something else; the text names every key."""


def flatten(options, prefix=()):
    """{("log-opts", "max-size"): "10m"} from nested options; lists and empty objects are values."""
    flat = {}
    for key, value in options.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, (*prefix, key)))
        else:
            flat[(*prefix, key)] = value
    return flat


def merge(current, ours, before):
    """What daemon.json shall hold.

    `current`: what it holds. `ours`: the options wanted. `before`: those this function put there last time. A value
    that is still as we left it is ours to change or to take away; any other is the operator's. Raises ConflictError.
    """
    wanted, last = flatten(ours), flatten(before)
    merged = _copy(current)
    conflicts = []
    for path in sorted(last.keys() - wanted.keys()):
        if _get(merged, path) == last[path]:
            _remove(merged, path)
    for path, value in sorted(wanted.items()):
        found = _get(merged, path)
        if found not in (None, value, last.get(path)):
            conflicts.append(f"{'.'.join(path)}: daemon.json has {found!r}, FLIP needs {value!r}")
        elif not _set(merged, path, value):
            conflicts.append(f"{'.'.join(path)}: daemon.json has no object there to put {value!r} into")
    if conflicts:
        raise ConflictError("; ".join(conflicts))
    return merged


def _copy(value):
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _get(options, path):
    for key in path:
        if not isinstance(options, dict) or key not in options:
            return None
        options = options[key]
    return options


def _set(options, path, value):
    for key in path[:-1]:
        options = options.setdefault(key, {})
        if not isinstance(options, dict):
            return False
    options[path[-1]] = value
    return True


def _remove(options, path):
    holder = _get(options, path[:-1]) if path[:-1] else options
    del holder[path[-1]]
    if not holder and path[:-1]:
        _remove(options, path[:-1])
