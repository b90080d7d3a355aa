from .app import create_app as create_app
from .copy_form import ONE_FILE as ONE_FILE
from .copy_form import WHOLE as WHOLE
from .copy_form import Form as Form
from .copying import export_folder as export_folder
from .copying import export_html as export_html
from .serving import serve as serve
