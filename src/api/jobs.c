/* /v1/jobs: long work is queued, looked at, followed and cancelled here. */
#include <stdio.h>
#include "api_jobs.h"

static void write_one(void *arg, const struct job *job)
{
    job_write(arg, job);
}

static enum meros_code reply_job(struct http_request *req, struct str id, int status, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    enum meros_code rc = jobs_get(api_service(req), id, write_one, w, err);
    if (rc == MEROS_OK)
        return api_reply_end(&r, req, status, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code create(struct http_request *req, struct meros_err *err)
{
    char id[JOB_ID_CAP], location[64];
    struct json *body = NULL;
    struct json_obj o;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK)
        return rc;
    json_obj_begin(&o, body, "", err);
    struct str kind = json_obj_str(&o, "kind", JSON_REQUIRED, JOB_KIND_CAP - 1);
    const struct json *params = json_obj_object(&o, "params", JSON_OPTIONAL);
    rc = json_obj_end(&o);
    if (rc == MEROS_OK)
        rc = jobs_create(api_service(req), kind, params, http_principal(req)->key_id, api_once(req), id, err);
    json_free(body);
    if (rc != MEROS_OK)
        return rc;
    snprintf(location, sizeof location, "/v1/jobs/%s", id);
    http_reply_header(req, "Location", location);
    return reply_job(req, str_of(id), 202, err);
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    http_reply_header(req, "Cache-Control", "no-store");
    return reply_job(req, http_path_param(req, "id"), 200, err);
}

static void write_item(void *arg, const struct job *job)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, job->job_no)) return;
    job_write(l->w, job);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum job_state state;
    enum meros_code rc = api_page_read(req, "jobs", "i", &page, err);
    if (rc != MEROS_OK)
        return rc;
    bool one_state = job_state_of(http_query_str(req, "state"), &state);
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = jobs_list(api_service(req), one_state ? (int)state : -1, http_query_str(req, "kind"), page.part[0].i, page.limit + 1,
                   write_item, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code cancel(struct http_request *req, struct meros_err *err)
{
    enum job_state state = JOB_QUEUED;
    struct str id = http_path_param(req, "id");
    enum meros_code rc = jobs_cancel(api_service(req), id, &state, err);
    if (rc != MEROS_OK)
        return rc;
    return reply_job(req, id, state == JOB_CANCELLED ? 200 : 202, err);
}

static void note_state(void *arg, const struct job *job)
{
    enum job_state *state = arg;
    *state = job->state;
}

/* For sensors that take 404 as "not yet" and any other error as failure (Airflow's HttpSensor). */
static enum meros_code done(struct http_request *req, struct meros_err *err)
{
    enum job_state state = JOB_QUEUED;
    struct str id = http_path_param(req, "id");
    http_reply_header(req, "Cache-Control", "no-store");
    enum meros_code rc = jobs_get(api_service(req), id, note_state, &state, err);
    if (rc != MEROS_OK)
        return rc;
    if (!job_ended(state))
        return err_set(err, MEROS_NOT_FOUND, "The job has not ended yet: it is %s.", job_state_name(state));
    if (state != JOB_SUCCEEDED)
        return err_set(err, MEROS_CONFLICT, "The job has ended without success: it is %s. GET /v1/jobs/{id} tells why.", job_state_name(state));
    return reply_job(req, id, 200, err);
}

static const struct http_param list_params[] = {
    API_PAGE_PARAMS,
    {.name = "state", .kind = HTTP_PARAM_ENUM, .words = job_state_words},
    {.name = "kind", .kind = HTTP_PARAM_STR, .max = JOB_KIND_CAP - 1},
    {0},
};

const struct http_route api_jobs_routes[] = {
    {.method = HTTP_POST, .pattern = "/v1/jobs", .name = "createJob", .scopes = SCOPE_TRAIN, .body = HTTP_BODY_BUFFERED,
     .media = API_JSON, .body_max = 512 << 10, .fn = create},
    {.method = HTTP_GET, .pattern = "/v1/jobs", .name = "listJobs", .scopes = SCOPE_TRAIN | SCOPE_READ, .params = list_params, .fn = list},
    {.method = HTTP_GET, .pattern = "/v1/jobs/{id}", .name = "getJob", .scopes = SCOPE_TRAIN | SCOPE_READ, .fn = get},
    {.method = HTTP_DELETE, .pattern = "/v1/jobs/{id}", .name = "cancelJob", .scopes = SCOPE_TRAIN, .fn = cancel},
    {.method = HTTP_GET, .pattern = "/v1/jobs/{id}/stream", .name = "streamJob", .scopes = SCOPE_TRAIN | SCOPE_READ, .fn = api_job_stream},
    {.method = HTTP_GET, .pattern = "/v1/jobs/{id}/done", .name = "getJobDone", .scopes = SCOPE_TRAIN | SCOPE_READ, .fn = done},
    {0},
};
