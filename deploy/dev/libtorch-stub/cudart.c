/* Stands in for libcudart.so.12, which libtorch_cpu.so is linked to but asks only whether there is a GPU.
 * There is none. */

enum { CUDA_SUCCESS = 0, CUDA_ERROR_NO_DEVICE = 100 };

int cudaDriverGetVersion(int *version) {
    if (version) *version = 0;
    return CUDA_SUCCESS;
}

int cudaRuntimeGetVersion(int *version) {
    if (version) *version = 0;
    return CUDA_SUCCESS;
}

int cudaGetDeviceCount(int *count) {
    if (count) *count = 0;
    return CUDA_ERROR_NO_DEVICE;
}

int cudaGetDeviceProperties_v2(void) { return CUDA_ERROR_NO_DEVICE; }

const char *cudaGetErrorString(int error) {
    (void)error;
    return "there is no CUDA device";
}
