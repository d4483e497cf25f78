// SPDX-License-Identifier: Apache-2.0
//
// A traced client sends a request to a traced server. The file is valid C and C++. With NSP_DISABLE it needs
// only nanospan's headers.
#include <nanospan/curl.h>
#include <nanospan/microhttpd.h>
#include <stdio.h>

#ifdef NSP_DISABLE
enum { TRACED = 0 };
#else
enum { TRACED = 1 };
#endif

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *data, size_t *size,
                              void **state)
{
    (void)context, (void)path, (void)method, (void)version, (void)data, (void)size, (void)state;
    static char text[] = "fine\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_queue_response(
        connection, nsp_span_recording(nsp_span_current()) == TRACED ? 200 : 500, response);
    MHD_destroy_response(response);
    return result;
}

static long ask(struct MHD_Daemon *daemon)
{
    char url[64];
    long status = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/orders/1",
             (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (nsp_curl_perform(easy, NSP_NAME("get order"), NULL) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return status;
}

int main(void)
{
    static const nsp_mhd_route routes[] = {{"GET", "/orders/{id}", NULL}};
    nsp_mhd_server server = NSP_MHD_SERVER_INIT;
    server.routes = routes;
    server.route_count = 1;
    if (nsp_init(NULL) != NSP_OK)
        return 1;
    struct MHD_Daemon *daemon =
        nsp_mhd_start_daemon(&server, MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle, NULL,
                             MHD_OPTION_CONNECTION_LIMIT, 10u, MHD_OPTION_END);
    if (daemon == NULL)
        return 2;
    long status = ask(daemon);
    nsp_mhd_stop_daemon(daemon);
    if (nsp_shutdown(UINT64_C(1000000000)) != NSP_OK)
        return 3;
    return status == 200 ? 0 : 4;
}
