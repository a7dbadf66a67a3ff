"""The table of all routes: method, path, handler, models, access. Served by web/app.py, described by web/openapi.py."""

from web import (
    actions,
    dead_letters,
    docs,
    emails,
    erasing,
    events,
    figures,
    health,
    login,
    models,
    notifications,
    results,
    review,
    rules,
    schemas,
    schemas_access,
    schemas_learning,
    schemas_subscriptions,
    schemas_system,
    schemas_work,
    subscriptions,
    system,
    tasks,
)
from web.assets import static_file
from web.dispatch import Answer, Call, Route
from web.problems import Problem


def openapi(call: Call) -> Answer:
    """Return the OpenAPI description of this API."""
    return Answer(call.app.openapi)


def webhook(_call: Call, **_arguments: str) -> None:
    """Accept FakeMail's notification that there may be new mail. 202 means that it is stored durably.

    A repetition, recognised by its `webhook-id`, is answered with 202 as well. Any content type is accepted. If a
    webhook secret is set, the request must carry a Standard Webhooks signature.
    """
    raise Problem(405, "only POST", headers=(("Allow", "POST"),))


s, t, a, n = schemas, schemas_system, schemas_access, schemas_learning
u, w = schemas_subscriptions, schemas_work
ROUTES = (
    Route("POST", "/webhook", webhook, "Notify of new mail", "webhook", {202: s.WebhookAccepted}, "public", s.WebhookRequest, any_media=True, problems=(401, 404, 429)),
    Route("POST", "/webhook/{source}", webhook, "Notify of new mail in one source", "webhook", {202: s.WebhookAccepted}, "public", s.WebhookRequest, any_media=True, problems=(401, 404, 429)),
    Route("GET", "/notifications", notifications.notifications, "Received notifications", "webhook", {200: s.NotificationPage}, query=s.NotificationQuery),
    Route("POST", "/setup", system.setup, "Subscribe to FakeMail", "webhook", {200: s.SetupAnswer}, "full", s.SetupRequest, s.SourceQuery, problems=(404, 409, 502)),
    Route("GET", "/results", results.all_results, "List results", "results", {200: s.ResultPage}, query=s.PageQuery),
    Route("GET", "/results/{email_id}", results.one_result, "Get an email's result", "results", {200: s.ResultAnswer}, query=s.ResultQuery, problems=(404, 409)),
    Route("POST", "/classify", results.classify, "Classify without storing", "results", {200: s.ClassifyAnswer}, "full", s.ClassifyRequest, acts=False),
    Route("GET", "/emails", emails.all_emails, "List emails", "emails", {200: s.EmailPage}, query=s.PageQuery),
    Route("GET", "/emails/{email_id}", emails.one_email, "Get an email", "emails", {200: s.EmailAnswer}, query=s.SourceQuery, problems=(404, 409)),
    Route("GET", "/emails/{email_id}/timeline", emails.timeline, "Get an email's timeline", "emails", {200: s.Timeline}, query=s.SourceQuery, problems=(404, 409)),
    Route("POST", "/emails/{email_id}/label", emails.correct, "Correct a label", "emails", {200: s.ResultItem}, "full", s.LabelRequest, s.SourceQuery, problems=(404, 409)),
    Route("DELETE", "/emails/{email_id}/label", emails.undo_correction, "Undo a correction", "emails", {200: s.ResultItem}, "full", query=s.SourceQuery, problems=(404, 409)),
    Route("GET", "/rules", rules.all_rules, "List rules", "rules and models", {200: n.RuleList}),
    Route("POST", "/rules", rules.create, "Create a rule", "rules and models", {201: n.RuleItem}, "full", n.RuleRequest, problems=(409,)),
    Route("POST", "/rules/test", rules.test, "Test a rule on stored mail", "rules and models", {200: n.RuleTestAnswer}, "full", n.RuleTest, problems=(404,), acts=False),
    Route("GET", "/rules/{rule_id}", rules.one_rule, "Get a rule", "rules and models", {200: n.RuleAnswer}, problems=(404,)),
    Route("PUT", "/rules/{rule_id}", rules.replace, "Replace a rule", "rules and models", {200: n.RuleItem}, "full", n.RuleRequest, problems=(404, 409)),
    Route("DELETE", "/rules/{rule_id}", rules.delete, "Delete a rule", "rules and models", {204: None}, "full", problems=(404,)),
    Route("GET", "/models", models.all_models, "List models", "rules and models", {200: n.ModelList}),
    Route("POST", "/models/{version}/promote", models.promote, "Promote a model", "rules and models", {200: n.PromoteAnswer}, "full", n.PromoteQuery, n.PromoteQuery, may_be_empty=True, problems=(404, 409)),
    Route("POST", "/reprocess", models.reprocess, "Reprocess stored mail", "long work", {202: w.TaskItem}, "full", n.ReprocessRequest, s.SourceQuery, problems=(404,)),
    Route("GET", "/review", review.review, "Get the review queue", "rules and models", {200: n.ReviewPage}, query=n.ReviewQuery),
    Route("POST", "/review/opinions", review.opinions, "Ask FakeMail for its opinions", "rules and models", {200: n.ReviewPage}, "full", query=n.ReviewQuery, acts=False),
    Route("GET", "/stats", figures.stats, "Get statistics", "figures", {200: t.Stats}, query=s.SourceQuery, problems=(404,)),
    Route("GET", "/stats/timeseries", figures.timeseries, "Get statistics over time", "figures", {200: t.Timeseries}, query=t.TimeseriesQuery),
    Route("GET", "/audit", system.audit, "Audit the books", "figures", {200: t.AuditAnswer}, query=s.SourceQuery, problems=(404,)),
    Route("GET", "/metrics", system.metrics, "Get metrics for Prometheus", "figures", {200: None}, "metrics", media=system.METRICS_MEDIA),
    Route("GET", "/actors", system.actors, "Get the supervision tree", "actors", {200: t.ActorsAnswer}),
    Route("POST", "/actors/pause", system.pause, "Pause all nodes", "actors", {200: t.ControlAnswer}, "full"),
    Route("POST", "/actors/resume", system.resume, "Resume all nodes", "actors", {200: t.ControlAnswer}, "full"),
    Route("POST", "/actors/resize", system.resize, "Resize the worker pools", "actors", {200: t.ControlAnswer}, "full", t.ResizeRequest),
    Route("GET", "/dead-letters", dead_letters.all_letters, "List dead letters", "dead letters", {200: w.DeadLetterPage}, query=w.DeadLetterQuery),
    Route("GET", "/dead-letters/groups", dead_letters.groups, "Group dead letters by cause", "dead letters", {200: w.DeadLetterGroups}, query=w.GroupsQuery),
    Route("POST", "/dead-letters/replay", dead_letters.replay_some, "Replay dead letters", "dead letters", {200: w.ReplayAnswer, 202: w.TaskItem}, "full", w.ReplayRequest, s.SourceQuery, problems=(404,)),
    Route("GET", "/dead-letters/{letter_id}", dead_letters.one_letter, "Get a dead letter", "dead letters", {200: w.DeadLetterAnswer}, problems=(404,)),
    Route("DELETE", "/dead-letters/{letter_id}", dead_letters.discard, "Discard a dead letter", "dead letters", {204: None}, "full", problems=(404, 409)),
    Route("POST", "/dead-letters/{letter_id}/replay", dead_letters.replay_one, "Replay a dead letter", "dead letters", {200: w.ReplayAnswer}, "full", problems=(404, 409)),
    Route("POST", "/erase", erasing.erase, "Erase a sender's emails", "emails", {200: w.EraseAnswer}, "full", w.EraseRequest, s.SourceQuery, problems=(404,), acts=False),
    Route("POST", "/resync", tasks.resync, "List the history again", "long work", {202: w.TaskItem}, "full", w.ResyncRequest, s.SourceQuery, problems=(404, 409)),
    Route("GET", "/tasks", tasks.all_tasks, "List tasks", "long work", {200: w.TaskPage}, query=w.TaskQuery),
    Route("GET", "/tasks/{task_id}", tasks.one_task, "Get a task's progress", "long work", {200: w.TaskItem}, problems=(404,)),
    Route("DELETE", "/tasks/{task_id}", tasks.cancel, "Cancel a task", "long work", {200: w.TaskItem}, "full", problems=(404, 409)),
    Route("GET", "/events", events.events, "Read the event log", "events", {200: u.EventPage}, query=u.EventQuery, problems=(410,)),
    Route("GET", "/ws/emails/{client_id}", events.events_socket, "Stream events (WebSocket)", "events", {101: None}, problems=(426,)),
    Route("GET", "/subscriptions", subscriptions.all_subscriptions, "List outgoing webhooks", "subscriptions", {200: u.SubscriptionList}),
    Route("POST", "/subscriptions", subscriptions.subscribe, "Create an outgoing webhook", "subscriptions", {201: u.NewSubscription}, "full", u.SubscriptionRequest, problems=(409, 410)),
    Route("GET", "/subscriptions/{subscription_id}", subscriptions.one_subscription, "Get an outgoing webhook", "subscriptions", {200: u.SubscriptionItem}, problems=(404,)),
    Route("GET", "/subscriptions/{subscription_id}/deliveries", subscriptions.deliveries, "List an outgoing webhook's deliveries", "subscriptions", {200: u.DeliveryPage}, query=u.DeliveryQuery, problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/test", subscriptions.test_message, "Send a test message", "subscriptions", {200: u.TestAnswer}, "full", problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/rotate", subscriptions.rotate, "Rotate the secret", "subscriptions", {200: u.NewSubscription}, "full", u.RotateRequest, may_be_empty=True, problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/enable", subscriptions.enable, "Enable a disabled outgoing webhook", "subscriptions", {200: u.SubscriptionItem}, "full", u.EnableRequest, may_be_empty=True, problems=(404, 410)),
    Route("DELETE", "/subscriptions/{subscription_id}", subscriptions.unsubscribe, "Delete an outgoing webhook", "subscriptions", {204: None}, "full", problems=(404,)),
    Route("GET", "/health", health.health, "Get the health of every component", "system", {200: t.HealthAnswer, 503: t.HealthAnswer}, "public"),
    Route("GET", "/health/live", health.live, "Liveness probe", "system", {200: t.StateAnswer}, "public"),
    Route("GET", "/health/ready", health.ready, "Readiness probe", "system", {200: t.StateAnswer, 503: t.StateAnswer}, "public"),
    Route("GET", "/", system.index, "Dashboard or short description", "system", {200: t.IndexAnswer}, page_too=True),
    Route("GET", "/openapi.json", openapi, "Get this API description", "system", {200: None}),
    Route("GET", "/docs", docs.docs, "Try the API", "system", {200: None}, media="text/html"),
    Route("GET", "/docs/{name}", docs.swagger_file, "Get a file of that page", "system", {200: None}, "page", media="*/*", problems=(404,)),
    Route("GET", "/static/{path}", static_file, "Get a file of the dashboard", "system", {200: None}, "page", media="*/*", problems=(404,)),
    Route("GET", "/login", login.login_page, "Log in (page)", "access", {200: None}, "page", media="text/html"),
    Route("POST", "/login", login.login, "Log in", "access", {200: a.LoginAnswer, 303: None}, "page", any_media=True, form=a.LoginRequest, problems=(401, 409, 415, 422)),
    Route("POST", "/logout", login.logout, "Log out", "access", {204: None, 303: None}, "page", query=a.LogoutQuery, problems=(401,)),
    Route("GET", "/actions", actions.all_actions, "List actions of users", "access", {200: a.ActionPage}, query=a.ActionQuery),
)  # fmt: skip

OPEN = frozenset(route.path.split("/")[1] for route in ROUTES if route.access in ("public", "page"))
"""The first path segments whose errors need no token. /docs is one because of its files; its page needs a token."""
