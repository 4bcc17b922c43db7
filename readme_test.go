package imapgate_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The Go code of the README is the body of an example, so that it compiles.
func TestReadmeCodeCompiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("limits/example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(readme), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		code = "\t" + strings.ReplaceAll(strings.TrimSpace(code), "\n", "\n\t")
		assert.Contains(t, string(example), strings.ReplaceAll(code, "\n\t\n", "\n\n"))
	}
}

// So is the code of the package comment.
func TestPackageCommentCodeCompiles(t *testing.T) {
	comment, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	lines := 0
	for line := range strings.Lines(string(comment)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			assert.Contains(t, string(example), "\t"+code)
			lines++
		}
	}
	assert.NotZero(t, lines)
}
