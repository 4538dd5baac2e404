/* As in TargetConditionals.h: for checks without the C library of the target. */
#include <stddef.h>
void abort(void);
void *calloc(size_t, size_t);
void free(void *);
void *malloc(size_t);
void qsort(void *, size_t, size_t, int (*)(const void *, const void *));
