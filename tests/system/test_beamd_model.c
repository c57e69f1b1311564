/* The network's model in a running daemon: what answers, and how one model follows another. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/golden.h"
#include "common/model.h"
#include "common/random.h"
#include "system/daemon.h"

enum { ANSWER_MS = 20000 };

static char folder[64];
/* large needs more memory per cluster. It is the model built in, where there is one: trained. */
static test_model_file small, large;
static bool trained;

static const char *in_folder(const char *name)
{
    static char path[4][160];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

/* Where nothing is built in: weights as training starts, which beat the best of classical design
 * and warm start only here and there. */
static test_model_file large_model(void)
{
    size_t size;
    const void *built_in = beam_model_embedded(&size);
    test_model_file file = {.size = size, .bytes = malloc(size + 1)};
    trained = built_in != NULL;
    if (!trained) {
        free(file.bytes);
        return test_model_make_fresh(30, 48, "large one", 2);
    }
    assert_non_null(file.bytes);
    memcpy(file.bytes, built_in, size);
    assert_int_equal(beam_model_inspect(built_in, size, &file.info, NULL), BEAM_OK);
    print_message("with the model built in: %s\n", file.info.name);
    return file;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/beamd-model-XXXXXX");
    assert_non_null(mkdtemp(folder));
    small = test_model_make_fresh(16, 8, "small one", 1);
    large = large_model();
    test_model_save(&small, in_folder("small"));
    test_model_save(&large, in_folder("large"));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const files[] = {"small", "large", "damaged", "newer", "mine", "pipe"};
    for (size_t k = 0; k < sizeof files / sizeof files[0]; k++) {
        unlink(in_folder(files[k]));
    }
    test_model_file_free(&small);
    test_model_file_free(&large);
    return rmdir(folder);
}

static void start(test_daemon *d, const char *model, const char *more)
{
    char setting[200];
    snprintf(setting, sizeof setting, "model_file = %s", in_folder(model));
    const char *const settings[] = {setting, "refine_iterations = 0", "resolve_after_ms = 0", more,
                                    NULL};
    test_daemon_start(d, settings, 0);
}

static void must(beamc_code code, const beamc_error *err)
{
    if (code != BEAMC_OK) {
        fail_msg("%s: %s: %s", beamc_code_text(code), err->field, err->text);
    }
}

static void expect_in_use(beamc_client *client, const test_model_file *file)
{
    beamc_model_state state;
    beamc_error err;
    must(beamc_model_get(client, ANSWER_MS, &state, &err), &err);
    assert_true(state.loaded);
    assert_string_equal(state.model.sha256, file->info.checksum);
    assert_string_equal(state.model.name, file->info.name);
    assert_int_equal(state.model.parameters, file->info.parameters);
    assert_int_equal(state.model.layers, file->info.layers);
}

static void reload(beamc_client *client, const char *path, const test_model_file *file)
{
    beamc_model_state state;
    beamc_error err;
    must(beamc_model_reload(client, path, ANSWER_MS, &state, &err), &err);
    assert_string_equal(state.model.sha256, file->info.checksum);
}

/* Refused by the field's name, with a sentence that holds `word`; what was in use stays. */
static void expect_refused(beamc_client *client, const char *path, const char *field,
                           const char *word, const test_model_file *kept)
{
    beamc_error err;
    assert_int_equal(beamc_model_reload(client, path, ANSWER_MS, NULL, &err), BEAMC_E_REFUSED);
    assert_string_equal(err.field, field);
    if (!strstr(err.text, word)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
    }
    expect_in_use(client, kept);
}

static bool log_has(test_daemon *d, const char *text)
{
    bool found = false;
    for (int wait = 0; wait < 200 && !found; wait++) {
        char *log = test_daemon_log(d);
        found = strstr(log, text) != NULL;
        free(log);
        poll(NULL, 0, found ? 0 : 25);
    }
    return found;
}

static double metric(test_daemon *d, const char *sample)
{
    char *metrics = test_daemon_metrics(d);
    const double value = test_metric(metrics, sample);
    free(metrics);
    return value;
}

/* Answers at five trade-offs, cold and warm, are exact and not the solver's; the network's where it
 * is trained, except that nothing beats the classical design at the sensing end. */
static void answers_are_the_networks(void **state)
{
    (void)state;
    enum { ROUNDS = 6 };
    test_daemon d;
    start(&d, "large", NULL);
    beamc_client *client = test_client(&d);
    beam_scene *scene = test_golden_scene("paper_eps010");
    int by_network = 0, cold = 0;
    for (int k = 0; k < 5; k++) {
        char id[8];
        snprintf(id, sizeof id, "c%d", k);
        test_set_up(client, id, scene, 0.25 * k);
        for (int round = 0; round < ROUNDS; round++) {
            const beamc_solution *s = test_solve(client, id, scene);
            test_check_solution(scene, s);
            assert_int_equal(s->warm, round > 0);
            assert_int_equal(s->iterations, 0);
            assert_true(s->method == BEAMC_METHOD_NETWORK || s->method == BEAMC_METHOD_WARM ||
                        s->method == BEAMC_METHOD_CLASSICAL);
            by_network += s->method == BEAMC_METHOD_NETWORK;
            cold += s->method == BEAMC_METHOD_NETWORK && round == 0;
        }
    }
    print_message("%d of %d answers are the network's\n", by_network, 5 * ROUNDS);
    assert_true(trained ? cold >= 4 : by_network > 0);
    assert_true(metric(&d, "beamd_solutions_total{method=\"network\"}") == by_network);
    assert_true(metric(&d, "beamd_below_classical_total") == 0);
    char sample[256];
    snprintf(sample, sizeof sample,
             "beamd_model_info{name=\"%s\",kind=\"equivariant\",sha256=\"%s\"}", large.info.name,
             large.info.checksum);
    assert_true(metric(&d, sample) == 1);
    beamc_status status;
    beamc_error err;
    must(beamc_status_get(client, NULL, ANSWER_MS, &status, &err), &err);
    assert_string_equal(status.model_name, large.info.name);
    assert_string_equal(status.model_sha256, large.info.checksum);
    assert_int_equal(status.method, BEAMC_METHOD_NETWORK);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* The solver refines the network's answer within its iterations: never worse, and still named. */
static void refinement_improves_and_is_told(void **state)
{
    (void)state;
    double merit[2] = {0, 0};
    beam_scene *scene = test_golden_scene("paper_eps010");
    for (int refined = 0; refined < 2; refined++) {
        char setting[200];
        test_daemon d;
        snprintf(setting, sizeof setting, "model_file = %s", in_folder("large"));
        const char *const settings[] = {
            setting, refined ? "refine_iterations = 25" : "refine_iterations = 0",
            "ideal_refresh_ms = 3600000", NULL};
        test_daemon_start(&d, settings, 0);
        beamc_client *client = test_client(&d);
        test_set_up(client, "c", scene, 0.5);
        const beamc_solution *s = test_solve(client, "c", scene);
        test_check_solution(scene, s);
        assert_true(refined ? s->iterations > 0 && s->iterations <= 25 : s->iterations == 0);
        if (trained) {
            assert_int_equal(s->method, BEAMC_METHOD_NETWORK);
        }
        merit[refined] = s->merit;
        beamc_close(&client);
        assert_int_equal(test_daemon_stop(&d), 0);
    }
    print_message("merit %.6f, refined %.6f\n", merit[0], merit[1]);
    assert_true(merit[1] < merit[0]);
    test_scene_free(scene);
}

static void a_reload_changes_the_model_and_is_logged(void **state)
{
    (void)state;
    test_daemon d;
    start(&d, "small", NULL);
    beamc_client *client = test_client(&d);
    beam_scene *scene = test_golden_scene("uneven_n6");
    expect_in_use(client, &small);
    test_set_up(client, "c", scene, 0.5);
    test_check_solution(scene, test_solve(client, "c", scene));
    reload(client, in_folder("large"), &large); /* the cluster's memory grows */
    test_check_solution(scene, test_solve(client, "c", scene));
    char line[400];
    snprintf(line, sizeof line,
             "event=model_reloaded by=request name=\"%s\" kind=equivariant parameters=%zu "
             "sha256=%s file=\"%s\" before=%s",
             large.info.name, large.info.parameters, large.info.checksum, in_folder("large"),
             small.info.checksum);
    assert_true(log_has(&d, line));
    reload(client, NULL, &small); /* back to the configured one */
    test_check_solution(scene, test_solve(client, "c", scene));
    assert_true(metric(&d, "beamd_model_loads_total") == 3);
    assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"memory\"}") == 0);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

static void a_wrong_model_is_refused_and_the_old_one_stays(void **state)
{
    (void)state;
    test_daemon d;
    beamc_error err;
    start(&d, "small", NULL);
    beamc_client *client = test_client(&d);
    beam_scene *scene = test_golden_scene("paper_eps010");
    test_set_up(client, "c", scene, 0.5);
    test_model_file wrong = test_model_make_fresh(16, 8, "wrong one", 3);
    wrong.bytes[wrong.size / 2] ^= 1;
    test_model_save(&wrong, in_folder("damaged"));
    expect_refused(client, in_folder("damaged"), "checksum", "damaged", &small);
    char line[200];
    snprintf(line, sizeof line, "event=model_refused by=request file=\"%s\" field=\"checksum\"",
             in_folder("damaged"));
    assert_true(log_has(&d, line));
    wrong.bytes[wrong.size / 2] ^= 1;
    wrong.bytes[12] = 2;
    test_model_save(&wrong, in_folder("newer"));
    expect_refused(client, in_folder("newer"), "format", "newer", &small);
    wrong.bytes[12] = 1;
    wrong.size -= 40;
    test_model_save(&wrong, in_folder("damaged"));
    expect_refused(client, in_folder("damaged"), "file_bytes", "cut", &small);
    test_model_file_free(&wrong);
    expect_refused(client, in_folder("absent"), "model_file", "No such file", &small);
    expect_refused(client, folder, "model_file", "no regular file", &small);
    expect_refused(client, BEAMD_BINARY, "magic", "no model", &small);
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    expect_refused(client, in_folder("pipe"), "model_file", "no regular file", &small);
    expect_refused(client, "/a\"b", "file", "quote", &small);
    assert_int_equal(beamc_model_reload(client, "small", ANSWER_MS, NULL, &err), BEAMC_E_ARGUMENT);
    assert_true(metric(&d, "beamd_model_refusals_total") == 7);
    assert_true(metric(&d, "beamd_model_loads_total") == 1);
    test_check_solution(scene, test_solve(client, "c", scene));
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* A signal reads the configured file again: a good one is taken, a bad one is not. */
static void sighup_reads_the_file_again(void **state)
{
    (void)state;
    test_daemon d;
    test_model_save(&small, in_folder("mine"));
    start(&d, "mine", NULL);
    beamc_client *client = test_client(&d);
    test_model_save(&large, in_folder("mine"));
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, "event=model_reloaded by=signal"));
    expect_in_use(client, &large);
    large.bytes[100] ^= 1;
    test_model_save(&large, in_folder("mine"));
    large.bytes[100] ^= 1;
    kill(d.pid, SIGHUP);
    assert_true(log_has(&d, "event=model_refused by=signal"));
    expect_in_use(client, &large);
    beamc_close(&client);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* Its standard error goes to the file `out`. */
static int run_beamd(const char *option, const char *value, const char *out)
{
    const pid_t pid = fork();
    if (pid == 0) {
        char directory[96];
        snprintf(directory, sizeof directory, "%s/run", folder);
        const int fd = open(out, O_CREAT | O_WRONLY | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        execl(BEAMD_BINARY, BEAMD_BINARY, "--runtime-dir", directory, option, value, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect_text(const char *path, const char *expected)
{
    char text[2048];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    if (!strstr(text, expected)) {
        fail_msg("\"%s\" is not in:\n%s", expected, text);
    }
}

/* A file that was named must be good, or the daemon does not start and says why. */
static void a_start_with_a_wrong_model_is_refused(void **state)
{
    (void)state;
    char setting[200], expected[256];
    small.bytes[300] ^= 1;
    test_model_save(&small, in_folder("damaged"));
    small.bytes[300] ^= 1;
    snprintf(setting, sizeof setting, "model_file = %s", in_folder("damaged"));
    assert_int_equal(run_beamd("--set", setting, in_folder("mine")), 1);
    snprintf(expected, sizeof expected,
             "event=start_failed step=\"model\" why=\"%s: checksum: the file is damaged",
             in_folder("damaged"));
    expect_text(in_folder("mine"), expected);
    FILE *file = fopen(in_folder("newer"), "w");
    assert_non_null(file);
    fprintf(file, "%s\n", setting);
    fclose(file);
    assert_int_equal(run_beamd("--check-config", in_folder("newer"), in_folder("mine")), 2);
    expect_text(in_folder("mine"), "damaged: checksum: the file is damaged");
    assert_int_equal(run_beamd("--set", "model_file = relative", in_folder("mine")), 2);
    expect_text(in_folder("mine"), "model_file: must be an absolute path");
    unlink(in_folder("run/beamd.lock"));
    rmdir(in_folder("run"));
}

/* What the network does not serve, and what is not its turn, the solver answers, and it is counted.
 */
static void the_solver_answers_the_rest(void **state)
{
    (void)state;
    test_daemon d;
    start(&d, "small", NULL);
    beamc_client *client = test_client(&d);
    beam_scene *scene = test_golden_scene("paper_eps010");
    scene->user_min_rate_bps_hz[0] = 0.5;
    test_set_up(client, "floor", scene, 0.5);
    const beamc_solution *s = test_solve(client, "floor", scene);
    test_check_solution(scene, s);
    assert_int_equal(s->method, BEAMC_METHOD_BOBLRBF);
    assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"min_rates\"}") == 1);
    scene->user_min_rate_bps_hz[0] = 0;
    assert_int_not_equal(test_solve(client, "floor", scene)->method, BEAMC_METHOD_BOBLRBF);
    assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"min_rates\"}") == 1);
    scene->sensing = BEAM_SENSING_COHERENT;
    test_set_up(client, "coherent", scene, 0.5);
    s = test_solve(client, "coherent", scene);
    assert_int_equal(s->method, BEAMC_METHOD_BOBLRBF);
    assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"sensing_model\"}") == 1);
    test_model_file mlp = test_model_make(1, 4); /* of one size, and not of this one */
    test_model_save(&mlp, in_folder("mine"));
    reload(client, in_folder("mine"), &mlp);
    const double before = metric(&d, "beamd_solutions_total{method=\"network\"}");
    scene->sensing = BEAM_SENSING_RESOLVED;
    s = test_solve(client, "floor", scene);
    test_check_solution(scene, s);
    assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"size\"}") == 1);
    assert_true(metric(&d, "beamd_solutions_total{method=\"network\"}") == before);
    test_model_file_free(&mlp);
    beamc_close(&client);
    assert_int_equal(test_daemon_stop(&d), 0);

    start(&d, "small", "solve_method = boblrbf");
    client = test_client(&d);
    test_set_up(client, "c", scene, 0.5);
    assert_int_equal(test_solve(client, "c", scene)->method, BEAMC_METHOD_BOBLRBF);
    beamc_model_state model;
    beamc_error err;
    must(beamc_model_get(client, ANSWER_MS, &model, &err), &err);
    assert_int_equal(model.method, BEAMC_METHOD_BOBLRBF);
    assert_true(model.loaded); /* ready for the other method */
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* Models change under load, between sizes that need different memory; no answer is wrong or lost.
 */
static void reloads_do_not_disturb_solves(void **state)
{
    (void)state;
    enum { CLUSTERS = 4, ROUNDS = 40 };
    test_daemon d;
    beamc_error err;
    start(&d, "small", "workers = 2");
    beamc_client *client = test_client(&d), *operator_ = test_client(&d);
    beam_scene *scene = test_golden_scene("uneven_n6");
    char id[CLUSTERS][8];
    for (int k = 0; k < CLUSTERS; k++) {
        snprintf(id[k], sizeof id[k], "c%d", k);
        test_set_up(client, id[k], scene, 0.3 * k);
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t sequence[CLUSTERS];
        for (int k = 0; k < CLUSTERS; k++) {
            sequence[k] = test_send_csi(client, id[k], scene, 5000000);
        }
        const test_model_file *file = round % 2 ? &small : &large;
        reload(operator_, in_folder(round % 2 ? "small" : "large"), file);
        for (int k = 0; k < CLUSTERS; k++) {
            beamc_answer answer;
            must(beamc_await(client, sequence[k], ANSWER_MS, &answer, &err), &err);
            test_check_solution(scene, answer.solution);
        }
    }
    assert_true(metric(&d, "beamd_model_loads_total") == ROUNDS + 1);
    assert_true(metric(&d, "beamd_failed_jobs_total") == 0);
    assert_true(metric(&d, "beamd_below_classical_total") == 0);
    beamc_close(&client);
    beamc_close(&operator_);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

/* Without model_file: the one built in, or none, and then the solver answers. */
static void without_a_file_the_built_in_model_or_none_is_used(void **state)
{
    (void)state;
    test_daemon d;
    beamc_error err;
    beamc_model_state model;
    test_daemon_start(&d, NULL, 0);
    beamc_client *client = test_client(&d);
    beam_scene *scene = test_golden_scene("paper_eps010");
    must(beamc_model_get(client, ANSWER_MS, &model, &err), &err);
    test_set_up(client, "c", scene, 0.5);
    const beamc_method method = test_solve(client, "c", scene)->method;
    if (model.loaded) {
        print_message("built in: %s\n", model.model.name);
        must(beamc_model_get(client, ANSWER_MS, &model, &err), &err);
        assert_string_equal(model.model.source, "");
        assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"no_model\"}") == 0);
    } else {
        print_message("no model is built in\n");
        assert_true(log_has(&d, "event=no_model"));
        assert_int_equal(method, BEAMC_METHOD_BOBLRBF);
        assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"no_model\"}") == 1);
        assert_int_equal(beamc_model_reload(client, NULL, ANSWER_MS, NULL, &err), BEAMC_E_REFUSED);
        assert_string_equal(err.field, "model_file");
    }
    reload(client, in_folder("large"), &large); /* the cluster gets room for it */
    test_check_solution(scene, test_solve(client, "c", scene));
    assert_true(metric(&d, "beamd_network_fallbacks_total{reason=\"memory\"}") == 0);
    beamc_close(&client);
    test_scene_free(scene);
    assert_int_equal(test_daemon_stop(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_networks),
        cmocka_unit_test(refinement_improves_and_is_told),
        cmocka_unit_test(a_reload_changes_the_model_and_is_logged),
        cmocka_unit_test(a_wrong_model_is_refused_and_the_old_one_stays),
        cmocka_unit_test(sighup_reads_the_file_again),
        cmocka_unit_test(a_start_with_a_wrong_model_is_refused),
        cmocka_unit_test(the_solver_answers_the_rest),
        cmocka_unit_test(reloads_do_not_disturb_solves),
        cmocka_unit_test(without_a_file_the_built_in_model_or_none_is_used),
    };
    return cmocka_run_group_tests_name("model of a running daemon", tests, make_folder,
                                       remove_folder);
}
