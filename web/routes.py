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
    Route("POST", "/webhook", webhook, "Say that there is news", "webhook", {202: s.WebhookAccepted}, "public", s.WebhookRequest, any_media=True, problems=(401, 404, 429)),
    Route("POST", "/webhook/{source}", webhook, "Say that a source has news", "webhook", {202: s.WebhookAccepted}, "public", s.WebhookRequest, any_media=True, problems=(401, 404, 429)),
    Route("GET", "/notifications", notifications.notifications, "Webhooks that were accepted", "webhook", {200: s.NotificationPage}, query=s.NotificationQuery),
    Route("POST", "/setup", system.setup, "Watch and subscribe at FakeMail", "webhook", {200: s.SetupAnswer}, "full", s.SetupRequest, s.SourceQuery, problems=(404, 409, 502)),
    Route("GET", "/results", results.all_results, "All results", "results", {200: s.ResultPage}, query=s.PageQuery),
    Route("GET", "/results/{email_id}", results.one_result, "One email's result", "results", {200: s.ResultAnswer}, query=s.ResultQuery, problems=(404, 409)),
    Route("POST", "/classify", results.classify, "Classify without storing", "results", {200: s.ClassifyAnswer}, "full", s.ClassifyRequest, acts=False),
    Route("GET", "/emails", emails.all_emails, "All emails", "emails", {200: s.EmailPage}, query=s.PageQuery),
    Route("GET", "/emails/{email_id}", emails.one_email, "One email", "emails", {200: s.EmailAnswer}, query=s.SourceQuery, problems=(404, 409)),
    Route("GET", "/emails/{email_id}/timeline", emails.timeline, "One email's stages", "emails", {200: s.Timeline}, query=s.SourceQuery, problems=(404, 409)),
    Route("POST", "/emails/{email_id}/label", emails.correct, "Correct a label", "emails", {200: s.ResultItem}, "full", s.LabelRequest, s.SourceQuery, problems=(404, 409)),
    Route("DELETE", "/emails/{email_id}/label", emails.undo_correction, "Undo a correction", "emails", {200: s.ResultItem}, "full", query=s.SourceQuery, problems=(404, 409)),
    Route("GET", "/rules", rules.all_rules, "All rules", "rules and models", {200: n.RuleList}),
    Route("POST", "/rules", rules.create, "A new rule", "rules and models", {201: n.RuleItem}, "full", n.RuleRequest, problems=(409,)),
    Route("POST", "/rules/test", rules.test, "What a rule would change", "rules and models", {200: n.RuleTestAnswer}, "full", n.RuleTest, problems=(404,), acts=False),
    Route("GET", "/rules/{rule_id}", rules.one_rule, "One rule", "rules and models", {200: n.RuleAnswer}, problems=(404,)),
    Route("PUT", "/rules/{rule_id}", rules.replace, "Change a rule", "rules and models", {200: n.RuleItem}, "full", n.RuleRequest, problems=(404, 409)),
    Route("DELETE", "/rules/{rule_id}", rules.delete, "Delete a rule", "rules and models", {204: None}, "full", problems=(404,)),
    Route("GET", "/models", models.all_models, "All models", "rules and models", {200: n.ModelList}),
    Route("POST", "/models/{version}/promote", models.promote, "Make a model the live one", "rules and models", {200: n.PromoteAnswer}, "full", query=n.PromoteQuery, problems=(404, 409)),
    Route("POST", "/reprocess", models.reprocess, "Judge stored mail once more", "long work", {202: w.TaskItem}, "full", n.ReprocessRequest),
    Route("GET", "/review", review.review, "What a person should look at", "rules and models", {200: n.ReviewPage}, query=n.ReviewQuery),
    Route("POST", "/review/opinions", review.opinions, "Ask FakeMail for its opinions", "rules and models", {200: n.ReviewPage}, "full", query=n.ReviewQuery, acts=False),
    Route("GET", "/stats", figures.stats, "Figures", "figures", {200: t.Stats}, query=s.SourceQuery, problems=(404,)),
    Route("GET", "/stats/timeseries", figures.timeseries, "Figures over time", "figures", {200: t.Timeseries}, query=t.TimeseriesQuery),
    Route("GET", "/audit", system.audit, "The books", "figures", {200: t.AuditAnswer}, query=s.SourceQuery, problems=(404,)),
    Route("GET", "/metrics", system.metrics, "Metrics for Prometheus", "figures", {200: None}, "metrics", media=system.METRICS_MEDIA),
    Route("GET", "/actors", system.actors, "Supervision tree", "actors", {200: t.ActorsAnswer}),
    Route("POST", "/actors/pause", system.pause, "Pause all nodes", "actors", {200: t.ControlAnswer}, "full"),
    Route("POST", "/actors/resume", system.resume, "Resume all nodes", "actors", {200: t.ControlAnswer}, "full"),
    Route("POST", "/actors/resize", system.resize, "Resize the pools", "actors", {200: t.ControlAnswer}, "full", t.ResizeRequest),
    Route("GET", "/dead-letters", dead_letters.all_letters, "All dead letters", "dead letters", {200: w.DeadLetterPage}, query=w.DeadLetterQuery),
    Route("GET", "/dead-letters/groups", dead_letters.groups, "Dead letters by cause", "dead letters", {200: w.DeadLetterGroups}, query=w.GroupsQuery),
    Route("POST", "/dead-letters/replay", dead_letters.replay_some, "Replay by filter", "dead letters", {200: w.ReplayAnswer, 202: w.TaskItem}, "full", w.ReplayRequest),
    Route("GET", "/dead-letters/{letter_id}", dead_letters.one_letter, "One dead letter", "dead letters", {200: w.DeadLetterAnswer}, problems=(404,)),
    Route("DELETE", "/dead-letters/{letter_id}", dead_letters.discard, "Discard one", "dead letters", {204: None}, "full", problems=(404, 409)),
    Route("POST", "/dead-letters/{letter_id}/replay", dead_letters.replay_one, "Replay one", "dead letters", {200: w.ReplayAnswer}, "full", problems=(404, 409)),
    Route("POST", "/erase", erasing.erase, "Erase a sender", "emails", {200: w.EraseAnswer}, "full", w.EraseRequest, acts=False),
    Route("POST", "/resync", tasks.resync, "List the history again", "long work", {202: w.TaskItem}, "full", w.ResyncRequest, s.SourceQuery, problems=(404, 409)),
    Route("GET", "/tasks", tasks.all_tasks, "All long work", "long work", {200: w.TaskPage}, query=w.TaskQuery),
    Route("GET", "/tasks/{task_id}", tasks.one_task, "How far it is", "long work", {200: w.TaskItem}, problems=(404,)),
    Route("DELETE", "/tasks/{task_id}", tasks.cancel, "Cancel it", "long work", {200: w.TaskItem}, "full", problems=(404, 409)),
    Route("GET", "/events", events.events, "The event log", "events", {200: u.EventPage}, query=u.EventQuery, problems=(410,)),
    Route("GET", "/ws/emails/{client_id}", events.events_socket, "Real-time updates (WebSocket)", "events", {101: None}, problems=(426,)),
    Route("GET", "/subscriptions", subscriptions.all_subscriptions, "All subscribers", "subscriptions", {200: u.SubscriptionList}),
    Route("POST", "/subscriptions", subscriptions.subscribe, "Have a URL told", "subscriptions", {201: u.NewSubscription}, "full", u.SubscriptionRequest, problems=(409, 410)),
    Route("GET", "/subscriptions/{subscription_id}", subscriptions.one_subscription, "One subscriber", "subscriptions", {200: u.SubscriptionItem}, problems=(404,)),
    Route("GET", "/subscriptions/{subscription_id}/deliveries", subscriptions.deliveries, "What was sent", "subscriptions", {200: u.DeliveryPage}, query=u.DeliveryQuery, problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/test", subscriptions.test_message, "Send a test message", "subscriptions", {200: u.TestAnswer}, "full", problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/rotate", subscriptions.rotate, "Give it a new secret", "subscriptions", {200: u.NewSubscription}, "full", u.RotateRequest, may_be_empty=True, problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/enable", subscriptions.enable, "Go on with it", "subscriptions", {200: u.SubscriptionItem}, "full", u.EnableRequest, may_be_empty=True, problems=(404, 410)),
    Route("DELETE", "/subscriptions/{subscription_id}", subscriptions.unsubscribe, "Forget it", "subscriptions", {204: None}, "full", problems=(404,)),
    Route("GET", "/health", health.health, "Health", "system", {200: t.HealthAnswer, 503: t.HealthAnswer}, "public"),
    Route("GET", "/health/live", health.live, "Does it live", "system", {200: t.StateAnswer}, "public"),
    Route("GET", "/health/ready", health.ready, "Is it ready", "system", {200: t.StateAnswer, 503: t.StateAnswer}, "public"),
    Route("GET", "/", system.index, "What this is", "system", {200: t.IndexAnswer}),
    Route("GET", "/openapi.json", openapi, "This description", "system", {200: None}),
    Route("GET", "/docs", docs.docs, "A page to try the API", "system", {200: None}, media="text/html"),
    Route("GET", "/docs/{name}", docs.swagger_file, "Files of that page", "system", {200: None}, "page", media="text/css", problems=(404,)),
    Route("GET", "/static/{path}", static_file, "Files of the dashboard", "system", {200: None}, "page", media="text/css", problems=(404,)),
    Route("GET", "/login", login.login_page, "Page to log in", "access", {200: None}, "page", media="text/html"),
    Route("POST", "/login", login.login, "Begin a session", "access", {200: a.LoginAnswer, 303: None}, "page", any_media=True, form=a.LoginRequest, problems=(401, 409, 413, 415, 422)),
    Route("POST", "/logout", login.logout, "End the session", "access", {204: None, 303: None}, "page", query=a.LogoutQuery, problems=(401, 415)),
    Route("GET", "/actions", actions.all_actions, "Who did what", "access", {200: a.ActionPage}, query=a.ActionQuery),
)  # fmt: skip

OPEN = frozenset(route.path.split("/")[1] for route in ROUTES if route.access in ("public", "page"))
"""The first path segments whose errors need no token. /docs is one because of its files; its page needs a token."""
