"""dj-stripe's migrations, the first three in one: a fresh database takes seconds instead of a minute and a half.

Upstream's own folder stays on the path, so that its later migrations find their place after ours. ADR-008 says how to renew this.
"""

from djstripe import migrations as upstream

# The loader may reload this package; the path must not grow each time.
__path__ = [*__path__, *(folder for folder in upstream.__path__ if folder not in __path__)]
