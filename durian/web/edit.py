"""The pages on which a listener is made and changed."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from durian.event import Hook
from durian.forms import create_select_hook_form
from durian.match.grammar import OPERATORS
from durian.registry import hooks
from durian.web.editor import Editor
from durian.web.page import Page
from durian.web.secrets import show_once


class SelectHook(Page):
    """Choose the event to listen to."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the events; go on to the chosen one."""
        form = create_select_hook_form()(request.GET if "type" in request.GET else None)
        if form.is_valid():
            return self.redirect("create", query="?" + urlencode(form.cleaned_data))
        return render(request, "durian/select.html", {"form": form, "hooks": hooks.all()})


class EditorPage(Page):
    """A page with the forms of a listener; a payload can be tried on the filter before saving."""

    def show(self, editor: Editor, **context: Any) -> HttpResponse:
        """Return the page with the forms as they are."""
        return render(
            self.request,
            "durian/edit.html",
            {"editor": editor, "operators": " ".join(OPERATORS), **context},
        )

    def answer(self, editor: Editor) -> HttpResponse:
        """Try the filter or save the listener, as the button says."""
        if "try" in self.request.POST:
            return self.show(editor, tried=True, passes=editor.try_filter())
        return self.save(editor) or self.show(editor)

    def save(self, editor: Editor) -> HttpResponse | None:
        """Save, and return where to go next; None when the forms have errors."""
        raise TypeError(f"{type(self).__name__} saves nothing.")


class CreateListener(EditorPage):
    """Make a listener to the event that `?type=` names."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show the empty forms; without an event, go and choose one."""
        if not request.GET.get("type"):
            return self.redirect("select")
        hook = self._hook()
        return self.show(Editor(hook.name, hook))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the listener and show its secret."""
        hook = self._hook()
        return self.answer(Editor(hook.name, hook, data=request.POST))

    def save(self, editor: Editor) -> HttpResponse | None:
        """Save a listener of the user's own."""
        listener = editor.create(self.request.user)
        if listener is None:
            return None
        show_once(self.request, listener)
        return self.redirect("secret", listener.pk)

    def _hook(self) -> Hook:
        name = self.request.GET.get("type")
        if not name:
            raise BadRequest("Say which event: ?type=…")
        hook = hooks.get(name)
        if hook is None:
            raise Http404("There is no such event.")
        return hook


class EditListener(EditorPage):
    """Change a listener."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the forms with what the listener has."""
        return self.show(self._editor(pk))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Save the changes."""
        return self.answer(self._editor(pk, request.POST))

    def save(self, editor: Editor) -> HttpResponse | None:
        """Save the listener as the forms have it."""
        listener = editor.update()
        if listener is None:
            return None
        messages.success(self.request, _("Saved."), fail_silently=True)
        return self.redirect("show", listener.pk)

    def _editor(self, pk: int, data: Any = None) -> Editor:
        listener = self.listener(pk)
        return Editor(listener.hook, hooks.get(listener.hook), listener, data)
