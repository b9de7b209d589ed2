import os

from service import create_app
from service.config import load_config
from service.operation.logs import configure_logs

config = load_config(os.environ)
configure_logs(config.log_level)
app = create_app(config)
