"""A small site in Django; its sessions are signed cookies."""

import time

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG_PROPAGATE_EXCEPTIONS=True,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="for tests",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)


def form(request):
    return JsonResponse(dict(request.POST.lists()))


def count(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def upload(request):
    file = request.FILES["file"]
    size = sum(len(piece) for piece in file.chunks())
    return JsonResponse({"name": file.name, "size": size, "word": request.POST["word"]})


def stream(request):
    def pieces():
        for number in range(3):
            yield "%s %d\n" % (request.GET["word"], number)
            time.sleep(0.2)

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def there(_request):
    return HttpResponseRedirect("/count")


def boom(_request):
    raise LookupError("nobody is there")


urlpatterns = [
    path(view.__name__, view) for view in (form, count, upload, stream, there, boom)
]
app = get_wsgi_application()
