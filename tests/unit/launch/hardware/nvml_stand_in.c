/* A libnvidia-ml.so.1 for tests: the few calls that launch/hardware/nvidia.py makes, answered from NVML_GPUS.
 * One line a GPU: name;compute capability (90);total MiB;used MiB;NVLink group;state (ok, lost, mig, busy).
 * NVML_INIT holds the status of nvmlInit, for drivers that cannot be talked to. Structures follow nvml.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };

typedef struct { char name[96], state[16]; unsigned sm, total, used, group, index; } Gpu;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char address[32]; } Pci;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned pid; unsigned long long memory; unsigned instance, compute; } Process;

static Gpu gpus[64];
static unsigned count;

static void parse(void) {
    const char *given = getenv("NVML_GPUS");
    char *text = strdup(given ? given : ""), *rest = text, *line;
    for (count = 0; count < 64 && (line = strsep(&rest, "\n")); ) {
        Gpu *g = &gpus[count];
        if (sscanf(line, "%95[^;];%u;%u;%u;%u;%15s", g->name, &g->sm, &g->total, &g->used, &g->group, g->state) == 6)
            g->index = count++;
    }
    free(text);
}

static int lost(const Gpu *g) { return !strcmp(g->state, "lost"); }

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    parse();
    return getenv("NVML_INIT") ? atoi(getenv("NVML_INIT")) : OK;
}
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "some error"; }
int nvmlSystemGetDriverVersion(char *to, unsigned n) { snprintf(to, n, "580.65.06"); return OK; }
int nvmlSystemGetCudaDriverVersion_v2(int *to) { *to = 13000; return OK; }
int nvmlDeviceGetCount_v2(unsigned *to) { *to = count; return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned i, Gpu **to) {
    *to = &gpus[i];
    return !strcmp(gpus[i].state, "gone") ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetName(Gpu *g, char *to, unsigned n) { snprintf(to, n, "%s", g->name); return OK; }
int nvmlDeviceGetUUID(Gpu *g, char *to, unsigned n) {
    snprintf(to, n, "GPU-00000000-0000-0000-0000-%012u", g->index);
    return lost(g) ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetPciInfo_v3(Gpu *g, Pci *to) {
    memset(to, 0, sizeof *to);
    to->bus = 0x10 + g->index;
    return OK;
}
int nvmlDeviceGetCudaComputeCapability(Gpu *g, int *major, int *minor) {
    *major = g->sm / 10, *minor = g->sm % 10;
    return OK;
}
int nvmlDeviceGetMemoryInfo(Gpu *g, Memory *to) {
    to->total = (unsigned long long)g->total << 20, to->used = (unsigned long long)g->used << 20;
    return lost(g) ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetMemoryInfo_v2(Gpu *g, Memory2 *to) {
    to->total = (unsigned long long)g->total << 20, to->used = (unsigned long long)g->used << 20;
    return lost(g) ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetEccMode(Gpu *g, int *now, int *next) { (void)g; *now = *next = 1; return OK; }
int nvmlDeviceGetMigMode(Gpu *g, unsigned *now, unsigned *next) {
    *now = *next = !strcmp(g->state, "mig");
    return g->sm < 80 ? NOT_SUPPORTED : OK;
}
int nvmlDeviceGetP2PStatus(Gpu *a, Gpu *b, int kind, int *to) {
    *to = kind == 2 && a->group && a->group == b->group ? 0 : 5;
    return lost(a) || lost(b) ? GPU_IS_LOST : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Gpu *g, unsigned *n, Process *to) {
    if (strcmp(g->state, "busy")) { *n = 0; return OK; }
    if (!to) { *n = 1; return INSUFFICIENT_SIZE; }
    *n = 1, to[0] = (Process){ 1, (unsigned long long)g->used << 20, 0, 0 };
    return OK;
}
