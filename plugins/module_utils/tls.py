# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By whose rules a chain of certificates is judged: those of kubectl, curl and browsers."""

from __future__ import annotations

import ssl


def as_go(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, strict as Go's ``crypto/x509`` and no stricter, whatever Python this is.

    Python 3.13 alone asks for identifiers that a private CA need not write (VERIFY_X509_STRICT): that of an
    older EKS cluster has none. Python 3.12 alone asks for a root where a trusted issuer is enough.
    """
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
