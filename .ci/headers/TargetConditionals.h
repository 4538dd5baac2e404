/* The headers of other systems are not at hand where .ci/run checks for them: this is all that C code in dependencies
   asks of Apple's. */
#define TARGET_OS_OSX 1
#define TARGET_OS_IPHONE 0
