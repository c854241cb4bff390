/* What was not taken can be read. */
#include "client.h"

Test(rejections, need_a_key_that_reads_or_sends)
{
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections", .key = ""}), 401);
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections", .key = key_with("train")}), 403);
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections?limit=1", .key = key_with("ingest")}), 200);
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections?source=segment", .key = key_with("read")}), 200);
    expect_fault(get("/v1/rejections?source=nowhere"), 400, "?source");
}
