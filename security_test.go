package imapgate_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each test that SECURITY.md names exists. It is in the package before the colon, where imapgate is
// the root, or without one in internal/attack.
func TestSecurityNamesTestsThatExist(t *testing.T) {
	tests := make(map[string][]string) // the directories in which there is a test of that name
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(code, -1) {
			tests[string(found[1])] = append(tests[string(found[1])], filepath.ToSlash(filepath.Dir(path)))
		}
		return err
	}))
	security, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	named := 0
	for row := range strings.Lines(string(security)) {
		directory := "internal/attack"
		words := regexp.MustCompile("(?:([a-z/]+): )?`(Test\\w+)`")
		for _, word := range words.FindAllStringSubmatch(row, -1) {
			switch word[1] {
			case "":
			case "imapgate":
				directory = "."
			default:
				directory = word[1]
			}
			named++
			assert.Contains(t, tests[word[2]], directory, word[2])
		}
	}
	assert.NotZero(t, named)
}
