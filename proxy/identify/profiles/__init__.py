"""The identity providers we know, by the name that the configuration gives them."""

from collections.abc import Mapping

from proxy.identify.profiles.generic import GENERIC
from proxy.identify.profiles.github_actions import GITHUB_ACTIONS
from proxy.identify.profiles.gitlab_ci import GITLAB_CI
from proxy.identify.profiles.interfaces import Profile
from proxy.identify.profiles.keycloak import KEYCLOAK
from proxy.identify.profiles.kubernetes import KUBERNETES

PROFILES: Mapping[str, Profile] = {
    profile.name: profile for profile in (GENERIC, GITLAB_CI, GITHUB_ACTIONS, KUBERNETES, KEYCLOAK)
}
