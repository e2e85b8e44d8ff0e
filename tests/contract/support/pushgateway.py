"""A real Pushgateway."""
import subprocess
import tempfile

from . import components
from .command_line import eventually
from .http_server import closed_port
from .serve import request


class Pushgateway:
    """One server with its groups in memory. `address` is its host and port."""

    def __init__(self):
        self.address = f"127.0.0.1:{closed_port()}"
        self._log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([components.pushgateway(), f"--web.listen-address={self.address}"],
                                        stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        eventually(self._is_ready)

    def _is_ready(self):
        try:
            return request(int(self.address.rsplit(":", 1)[1]), "GET", "/-/ready")[0] == 200
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        self._log.close()
