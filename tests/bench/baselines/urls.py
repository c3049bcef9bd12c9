from django.urls import path

from tests.bench.baselines import counting, peers

urlpatterns = [
    path("plain", peers.plain),
    path("drf", peers.Framework.as_view()),
    path("api-key", peers.Keyed.as_view()),
    path("usual", peers.Usual.as_view()),
    path("event", counting.OneEvent.as_view()),
    path("events", counting.ManyEvents.as_view()),
    path("current", counting.Current.as_view()),
    path("hook", counting.hook),
]
