package mailserver

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
)

// The README has a row for each flag but those of package limits, whose README has them.
func TestReadmeHasEveryFlag(t *testing.T) {
	ofLimits := map[string]bool{"unlimited-user": true}
	for field := range reflect.TypeFor[limits.Options]().Fields() {
		ofLimits[flagName(field.Name)] = true
	}
	var table strings.Builder
	newFlags(&settings{}).VisitAll(func(f *flag.Flag) {
		if ofLimits[f.Name] {
			return
		}
		value, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n",
			strings.TrimSpace("-"+f.Name+" "+value), inCode(f.DefValue), usage)
	})
	readme, err := os.ReadFile("../../server/README.md")
	require.NoError(t, err)
	if !strings.Contains(string(readme), table.String()) {
		assert.Fail(t, "the README should have these rows:", "%s", &table)
	}
}

func inCode(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
