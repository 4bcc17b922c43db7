package chaos_test

import (
	"container/list"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/limits"
)

// entries returns the limiter's own maps and lists that are not empty.
func entries(limiter *limits.Limiter) (left []string) {
	var look func(v reflect.Value, name string)
	look = func(v reflect.Value, name string) {
		switch {
		case v.Type() == reflect.TypeFor[admission.Guesses](): // they are kept on purpose, and bounded
		case v.Type() == reflect.TypeFor[list.List]():
			if n := v.FieldByName("len").Int(); n > 0 {
				left = append(left, fmt.Sprintf("%s: %d", name, n))
			}
		case v.Kind() == reflect.Map:
			if n := v.Len(); n > 0 {
				left = append(left, fmt.Sprintf("%s: %d", name, n))
			}
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				look(v.Field(i), name+"."+v.Type().Field(i).Name)
			}
		}
	}
	look(reflect.ValueOf(limiter).Elem(), "Limiter")
	return left
}

// assertNoFiles fails if the folder has a file, or if a file that was in it is still open.
func assertNoFiles(t testing.TB, dir string) {
	there, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, there)
	if runtime.GOOS != "linux" {
		return
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	assert.NotEmpty(t, open)
	for _, fd := range open {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, dir) {
			t.Errorf("still open: %s", name)
		}
	}
}

// goroutines returns the stacks of the goroutines that run code of this module or of go-imap,
// except those of tests.
func goroutines() (stacks []string) {
	buf := make([]byte, 64<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		ours := strings.Contains(stack, "github.com/imapgate/imapgate/") ||
			strings.Contains(stack, "github.com/emersion/go-imap/")
		if ours && !strings.Contains(stack, "testing.tRunner(") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
