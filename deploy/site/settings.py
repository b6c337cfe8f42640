"""The demo's shop for production, set up by its environment: put your own site in its place."""

from os import environ

from durian.demo import settings as demo

SECRET_KEY = environ["DJANGO_SECRET_KEY"]
# The health check calls the site by its address, without the proxy.
ALLOWED_HOSTS = ["127.0.0.1", *environ["DJANGO_ALLOWED_HOSTS"].split(",")]
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS[1:]]
# The proxy in front speaks TLS, and must set this header itself, whatever a client sends.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": environ["POSTGRES_HOST"],
        "PORT": environ.get("POSTGRES_PORT", "5432"),
        "NAME": environ["POSTGRES_DB"],
        "USER": environ["POSTGRES_USER"],
        "PASSWORD": environ["POSTGRES_PASSWORD"],
        "ATOMIC_REQUESTS": True,
    }
}
DURIAN = {
    "BROKER_URL": environ["DURIAN_BROKER_URL"],
    "NAME_PREFIX": environ.get("DURIAN_NAME_PREFIX", ""),
    "ENCRYPTION_KEYS": environ["DURIAN_ENCRYPTION_KEYS"].split(","),
}

INSTALLED_APPS = demo.INSTALLED_APPS
MIDDLEWARE = [
    demo.MIDDLEWARE[0],
    "whitenoise.middleware.WhiteNoiseMiddleware",
    *demo.MIDDLEWARE[1:],
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = demo.TEMPLATES
ROOT_URLCONF = demo.ROOT_URLCONF
WSGI_APPLICATION = demo.WSGI_APPLICATION
LOGIN_URL = demo.LOGIN_URL
LOGIN_REDIRECT_URL = demo.LOGIN_REDIRECT_URL
DEFAULT_AUTO_FIELD = demo.DEFAULT_AUTO_FIELD
USE_TZ = demo.USE_TZ
STATIC_URL = demo.STATIC_URL
WHITENOISE_USE_FINDERS = True
