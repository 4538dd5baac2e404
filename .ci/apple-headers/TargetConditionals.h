/* Apple's SDK is not at hand where .ci/run checks for macOS: this is all that C code in dependencies asks of it. */
#define TARGET_OS_OSX 1
#define TARGET_OS_IPHONE 0
