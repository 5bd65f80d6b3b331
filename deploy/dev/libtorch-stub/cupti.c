/* Stands in for libcupti.so.12, which libtorch_cpu.so is linked to but asks only for profiles of a GPU.
 * Every call answers CUPTI_ERROR_NOT_INITIALIZED, which the profiler takes as "no GPU". */

enum { CUPTI_ERROR_NOT_INITIALIZED = 15 };

#define NOT_INITIALIZED(name) \
    int name(void) { return CUPTI_ERROR_NOT_INITIALIZED; }

NOT_INITIALIZED(cuptiActivityDisable)
NOT_INITIALIZED(cuptiActivityEnable)
NOT_INITIALIZED(cuptiActivityFlushAll)
NOT_INITIALIZED(cuptiActivityGetNextRecord)
NOT_INITIALIZED(cuptiActivityGetNumDroppedRecords)
NOT_INITIALIZED(cuptiActivityPopExternalCorrelationId)
NOT_INITIALIZED(cuptiActivityPushExternalCorrelationId)
NOT_INITIALIZED(cuptiActivityRegisterCallbacks)
NOT_INITIALIZED(cuptiActivitySetAttribute)
NOT_INITIALIZED(cuptiEnableCallback)
NOT_INITIALIZED(cuptiEnableDomain)
NOT_INITIALIZED(cuptiEventGetAttribute)
NOT_INITIALIZED(cuptiEventGetIdFromName)
NOT_INITIALIZED(cuptiEventGroupGetAttribute)
NOT_INITIALIZED(cuptiEventGroupReadEvent)
NOT_INITIALIZED(cuptiEventGroupSetAttribute)
NOT_INITIALIZED(cuptiEventGroupSetDisable)
NOT_INITIALIZED(cuptiEventGroupSetEnable)
NOT_INITIALIZED(cuptiEventGroupSetsCreate)
NOT_INITIALIZED(cuptiEventGroupSetsDestroy)
NOT_INITIALIZED(cuptiFinalize)
NOT_INITIALIZED(cuptiGetDeviceId)
NOT_INITIALIZED(cuptiGetResultString)
NOT_INITIALIZED(cuptiGetVersion)
NOT_INITIALIZED(cuptiMetricEnumEvents)
NOT_INITIALIZED(cuptiMetricGetAttribute)
NOT_INITIALIZED(cuptiMetricGetIdFromName)
NOT_INITIALIZED(cuptiMetricGetNumEvents)
NOT_INITIALIZED(cuptiMetricGetValue)
NOT_INITIALIZED(cuptiSetEventCollectionMode)
NOT_INITIALIZED(cuptiSubscribe)
NOT_INITIALIZED(cuptiUnsubscribe)
