"""Git over HTTP: `git http-backend` behind a token, hooks that guard protected branches."""

import os
import subprocess
from pathlib import Path

import pygit2

from penstock.testing.gitlab.access import basic_token, may_push
from penstock.testing.gitlab.ask import Answer, Request
from penstock.testing.gitlab.state import DEVELOPER, REPORTER, GitlabState, User

_TIMEOUT_S = 120
_PRE_RECEIVE = """#!/bin/sh
# Refuses what the pushing user may not do; the server tells by name or pattern which branches those are.
set -f
no() { echo "GitLab: $1" >&2; exit 1; }
while read -r old new ref; do
  branch=${ref#refs/heads/}
  for pattern in $GITLAB_PROTECTED; do
    case "$branch" in $pattern)
      case "$new" in *[!0]*) ;; *) no "You can only delete protected branches using the web interface." ;; esac
    ;; esac
  done
  for pattern in $GITLAB_DENIED; do
    case "$branch" in $pattern) no "You are not allowed to push code to protected branches on this project." ;; esac
  done
  for pattern in $GITLAB_NO_FORCE; do
    case "$branch" in $pattern)
      case "$old" in *[!0]*)
        git merge-base --is-ancestor "$old" "$new" ||
          no "You are not allowed to force push code to a protected branch on this project."
      ;; esac
    ;; esac
  done
done
"""
_POST_RECEIVE = """#!/bin/sh
# Hands the push options to the server, and tells how to open a merge request, as GitLab does.
if [ -n "$GITLAB_PUSH_OPTIONS" ]; then
  i=0
  while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
    eval "printf '%s\\\\n' \\"\\$GIT_PUSH_OPTION_$i\\"" >> "$GITLAB_PUSH_OPTIONS"
    i=$((i + 1))
  done
fi
while read -r old new ref; do
  branch=${ref#refs/heads/}
  case "$old" in
    *[!0]*) ;;
    *) [ -z "$GITLAB_URL" ] || printf '\\nTo create a merge request for %s, visit:\\n  %s/-/merge_requests/new\\n\\n' \\
      "$branch" "$GITLAB_URL" ;;
  esac
done
exit 0
"""
_HOOKS = {"pre-receive": _PRE_RECEIVE, "post-receive": _POST_RECEIVE}
_PUSH = "git-receive-pack"


class GitServer:
    """Serves one bare repository; `install` prepares it, `remove` takes the hooks away again."""

    def __init__(self, bare: Path) -> None:
        self._bare = bare.resolve()
        self._options = self._bare / "push-options"

    def install(self) -> None:
        """Lets the repository take pushes, and puts the hooks in."""
        config = pygit2.Config(str(self._bare / "config"))
        config["http.receivepack"] = True
        config["receive.advertisePushOptions"] = True
        config["core.hooksPath"] = str(self._bare / "hooks")
        (self._bare / "hooks").mkdir(exist_ok=True)
        for name, text in _HOOKS.items():
            (self._bare / "hooks" / name).write_text(text)
            (self._bare / "hooks" / name).chmod(0o755)

    def remove(self) -> None:
        """Takes the hooks away."""
        for name in _HOOKS:
            (self._bare / "hooks" / name).unlink(missing_ok=True)
        self._options.unlink(missing_ok=True)

    def allowed(self, state: GitlabState, request: Request) -> tuple[User | None, Answer | None]:
        """Who asks, and the answer for one who may not (None: go on)."""
        token = basic_token(state, request)
        if token is None:
            challenge = {"www-authenticate": 'Basic realm="GitLab"'}
            return None, Answer(401, "HTTP Basic: Access denied.", challenge)
        pushes = is_push(request)
        level, scopes = state.level_of(token.user), token.scopes
        wanted = {"api", "write_repository"} if pushes else {"api", "read_api", "write_repository", "read_repository"}
        if not scopes & wanted or (pushes and (token.job or level < DEVELOPER)):
            return token.user, Answer(403, "You are not allowed to push code to this project.")
        if level < REPORTER and state.settings.visibility == "private":
            return token.user, Answer(404 if level == 0 else 403, "You are not allowed to download code.")
        return token.user, None

    def answer(
        self, state: GitlabState, request: Request, user: User, service_path: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Runs `git http-backend` for the user; returns status, headers and body."""
        environment = self._environment() | self._rights(state, user)
        environment |= {
            "GIT_PROJECT_ROOT": str(self._bare.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{self._bare.name}/{service_path}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": "&".join(f"{name}={value}" for name, values in request.query.items() for value in values),
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.data)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_USER": user.username,
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=request.data,
            capture_output=True,
            timeout=_TIMEOUT_S,
            env=environment,
            check=False,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0]) if head else 500
        return status, headers, body

    def push_options(self) -> list[str]:
        """The options of the last push, and forgets them."""
        if not self._options.exists():
            return []
        lines = self._options.read_text("utf-8").splitlines()
        self._options.unlink()
        return lines

    def _rights(self, state: GitlabState, user: User) -> dict[str, str]:
        protected = state.settings.protected
        return {
            "GITLAB_PROTECTED": " ".join(protected),
            "GITLAB_DENIED": " ".join(name for name in protected if not may_push(state, user, name)),
            "GITLAB_NO_FORCE": " ".join(name for name, made in protected.items() if not made.allow_force_push),
            "GITLAB_PUSH_OPTIONS": str(self._options),
            "GITLAB_URL": state.project_url,
        }

    @staticmethod
    def _environment() -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}


def is_push(request: Request) -> bool:
    """Whether a Git request is a push, or asks for what a push needs to know."""
    return request.path.endswith(f"/{_PUSH}") or request.query.get("service") == [_PUSH]
