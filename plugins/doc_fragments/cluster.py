# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by every module that speaks to an API server."""

from __future__ import annotations


class ModuleDocFragment:
    """The connection options; their spec is ``module_utils/kube/options.py``."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, several of them joined by C(:), or the content, parsed or as text.
      - It is read as kubectl reads it, whom to act as (C(as)) included, and istioctl and helm are given what it says.
      - Falls back to the environment variable E(K8S_AUTH_KUBECONFIG), then E(KUBECONFIG), then
        C(~/.kube/config), then the service account of the pod that it runs in.
    type: raw
  context:
    description:
      - Context of the kubeconfig. Without it the kubeconfig's current context counts; none is ever guessed.
      - Falls back to E(K8S_AUTH_CONTEXT).
    type: str
  host:
    description: URL of the API server, instead of a kubeconfig. Falls back to E(K8S_AUTH_HOST).
    type: str
  api_key:
    description: Bearer token, without the word C(Bearer) before it. Falls back to E(K8S_AUTH_API_KEY).
    type: str
  username:
    description: User name for basic authentication, with O(password). Falls back to E(K8S_AUTH_USERNAME).
    type: str
  password:
    description: Password for basic authentication. Falls back to E(K8S_AUTH_PASSWORD).
    type: str
  client_cert:
    description: Path of a client certificate. Falls back to E(K8S_AUTH_CERT_FILE).
    type: path
    aliases: [cert_file]
  client_key:
    description: Path of the client certificate's key. Falls back to E(K8S_AUTH_KEY_FILE).
    type: path
    aliases: [key_file]
  ca_cert:
    description: Path of the CA certificate of the API server. Falls back to E(K8S_AUTH_SSL_CA_CERT).
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description: Whether the API server's certificate is verified. Falls back to E(K8S_AUTH_VERIFY_SSL).
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of a proxy (C(http), C(https), C(socks5)), with a login if need be.
      - Falls back to E(K8S_AUTH_PROXY), then the kubeconfig's C(proxy-url), then E(HTTPS_PROXY).
    type: str
  no_proxy:
    description:
      - Hosts, domains and networks that are reached without the proxy, separated by commas.
      - Falls back to E(K8S_AUTH_NO_PROXY), then E(NO_PROXY).
    type: str
  impersonate_user:
    description: User to act as. Falls back to E(K8S_AUTH_IMPERSONATE_USER).
    type: str
  impersonate_groups:
    description: Groups to act as. Falls back to E(K8S_AUTH_IMPERSONATE_GROUPS), separated by commas.
    type: list
    elements: str
  _handover:
    description: Set by the action plugin when the task runs on another host. Not for people.
    type: str
requirements:
  - kubernetes >= 31.0.0, other than 36.0.0 and 36.0.1
notes:
  - The names of these options are those of the collection kubernetes.core.
  - What names a cluster counts whole. When O(kubeconfig) is given, no C(K8S_AUTH_*) variable counts. When O(host) is
    given, they count only if they name no cluster themselves. O(context) may choose one of the variables' kubeconfig.
  - Token, password and client certificate come from the options or from the variables, never from both.
  - A warning names the variables that are set and do not count.
"""
