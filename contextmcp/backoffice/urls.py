"""URLs of the back office's own views. They are below `/admin/`, before the URLs of Django's admin."""

from django.urls import path

from . import reauthentication
from .actions.views import action_page, system_action_page
from .alerts import views as alerts
from .figures.csv_export import figures_csv
from .impersonation import views as impersonation
from .lists import views as lists
from .organization import urls as organization
from .plans import views as plans
from .search import views as search
from .timeline import timeline_page

app_name = "backoffice"
urlpatterns = [
    *reauthentication.urlpatterns,
    *alerts.urlpatterns,
    *plans.urlpatterns,
    *organization.urlpatterns,
    *search.urlpatterns,
    *impersonation.urlpatterns,
    path("figures/<slug:kind>.csv", figures_csv, name="figures_csv"),
    *lists.urlpatterns,
    path("organizations/<uuid:organization_id>/actions/<slug:name>/", action_page, name="action"),
    path("organizations/<uuid:organization_id>/timeline/", timeline_page, name="timeline"),
    path("actions/<slug:name>/", system_action_page, name="system-action"),
]
