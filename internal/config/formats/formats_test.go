package formats_test

import (
	"encoding/json"
	"log"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	goccy "github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// A library reads and writes a format, in which the settings of each package look as texts say.
type library struct {
	name      string
	unmarshal func([]byte, any) error
	marshal   func(any) ([]byte, error)
	texts     settings
}

// settings have a text for each package.
type settings struct{ limits, idle, vfolders, copymeta string }

var inJSON = settings{
	limits: `{
		"maxLoginsPerUser": 10, "fetchQueueTimeout": "1m30s", "loginTimeout": 0,
		"maxAppendSize": 9223372036854775807, "shareSearches": false,
		"exempt": ["192.0.2.0/24", "2001:db8::/32"]
	}`,
	idle:     `{"mode": "off", "pollInterval": "20s"}`,
	vfolders: `{"mode": "noselect", "prefixes": ["#users", "a b"]}`,
	copymeta: `{
		"internalDate": "preserve", "flags": "reset", "move": true, "maxMemory": 1048576,
		"tempDir": "/var/tmp"
	}`,
}

var inYAML = settings{
	limits: `
max-logins-per-user: 10
fetch-queue-timeout: 1m30s
login-timeout: 0
max-append-size: 9223372036854775807
share-searches: false
exempt:
  - 192.0.2.0/24
  - 2001:db8::/32
`,
	idle: `
mode: off
poll-interval: 20s
`,
	vfolders: `
mode: noselect
prefixes: ["#users", a b]
`,
	copymeta: `
internal-date: preserve
flags: reset
move: true
max-memory: 0x100000
temp-dir: /var/tmp
`,
}

var inTOML = settings{
	limits: `
max_logins_per_user = 10
fetch_queue_timeout = "1m30s"
login_timeout = 0
max_append_size = 9_223_372_036_854_775_807
share_searches = false
exempt = ["192.0.2.0/24", "2001:db8::/32"]
`,
	idle: `
mode = "off"
poll_interval = "20s"
`,
	vfolders: `
mode = "noselect"
prefixes = ["#users", "a b"]
`,
	copymeta: `
internal_date = "preserve"
flags = "reset"
move = true
max_memory = 0x100000
temp_dir = "/var/tmp"
`,
}

func goccyUnmarshal(text []byte, into any) error { return goccy.Unmarshal(text, into) }

var libraries = []library{
	{"encoding/json", json.Unmarshal, json.Marshal, inJSON},
	{"go.yaml.in/yaml", yaml.Unmarshal, yaml.Marshal, inYAML},
	{"goccy/go-yaml", goccyUnmarshal, goccy.Marshal, inYAML},
	{"goccy/go-yaml, of JSON", goccyUnmarshal, goccy.Marshal, inJSON},
	{"BurntSushi/toml", toml.Unmarshal, toml.Marshal, inTOML},
}

// program is what a program reads its file into.
type program struct {
	Limits   *limits.Options
	Idle     idle.Options
	Vfolders *vfolders.Options
	Copymeta copymeta.Options
}

// before is what a program has before it reads its file; after, what it should have then.
func before() *program {
	return &program{
		Limits:   limits.DefaultOptions(),
		Idle:     idle.Options{MaxPerUser: 3},
		Vfolders: &vfolders.Options{Prefixes: []string{"Public", "b", "c"}},
		Copymeta: copymeta.Options{MaxBytes: 5},
	}
}

func after() *program {
	after := &program{
		Limits:   limits.DefaultOptions(),
		Idle:     idle.Options{Mode: idle.Off, PollInterval: 20 * time.Second, MaxPerUser: 3},
		Vfolders: &vfolders.Options{Mode: vfolders.NoSelect, Prefixes: []string{"#users", "a b"}},
		Copymeta: copymeta.Options{
			InternalDate: copymeta.Preserve, Flags: copymeta.Reset, Move: true, MaxBytes: 5,
			MaxMemory: 1 << 20, TempDir: "/var/tmp",
		},
	}
	after.Limits.MaxLoginsPerUser = 10
	after.Limits.FetchQueueTimeout = 90 * time.Second
	after.Limits.LoginTimeout = 0
	after.Limits.MaxAppendSize = 1<<63 - 1
	after.Limits.ShareSearches = false
	after.Limits.Exempt = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}
	return after
}

func TestFilesSetWhatTheyNameAndNothingElse(t *testing.T) {
	for _, library := range libraries {
		t.Run(library.name, func(t *testing.T) {
			p := before()
			require.NoError(t, library.unmarshal([]byte(library.texts.limits), p.Limits))
			require.NoError(t, library.unmarshal([]byte(library.texts.idle), &p.Idle))
			require.NoError(t, library.unmarshal([]byte(library.texts.vfolders), p.Vfolders))
			require.NoError(t, library.unmarshal([]byte(library.texts.copymeta), &p.Copymeta))
			assert.Equal(t, after(), p)
			assert.NoError(t, p.Limits.Validate())
		})
	}
}

// withFunctions gives each field of the options that is no setting a value.
func withFunctions(p *program) *program {
	for _, options := range []any{p.Limits, &p.Idle, p.Vfolders, &p.Copymeta} {
		for _, field := range reflect.ValueOf(options).Elem().Fields() {
			if field.Kind() == reflect.Func {
				field.Set(reflect.MakeFunc(field.Type(), nil))
			}
		}
	}
	p.Copymeta.Logger = log.Default()
	p.Vfolders.History = &vfolders.History{}
	return p
}

func TestWhatWasWrittenIsReadAgain(t *testing.T) {
	for _, library := range libraries {
		t.Run(library.name, func(t *testing.T) {
			written, err := library.marshal(withFunctions(after()))
			require.NoError(t, err)
			p := before()
			require.NoError(t, library.unmarshal(written, p), "%s", written)
			assert.Equal(t, after(), p, "%s", written)

			for _, options := range []struct{ written, read, want any }{
				{withFunctions(after()).Limits, &limits.Options{}, after().Limits},
				{*withFunctions(after()).Limits, &limits.Options{}, after().Limits},
				{withFunctions(after()).Idle, &idle.Options{}, &after().Idle},
				{withFunctions(after()).Vfolders, &vfolders.Options{}, after().Vfolders},
				{withFunctions(after()).Copymeta, &copymeta.Options{}, &after().Copymeta},
			} {
				written, err := library.marshal(options.written)
				require.NoError(t, err)
				require.NoError(t, library.unmarshal(written, options.read), "%s", written)
				assert.Equal(t, options.want, options.read, "%s", written)
			}
		})
	}
}

// Each text is refused by each library of its format, and changes nothing.
func TestFilesWithMistakes(t *testing.T) {
	for _, library := range libraries {
		t.Run(library.name, func(t *testing.T) {
			for _, mistake := range mistakes(library.texts) {
				p := before()
				for _, options := range []any{p.Limits, &p.Idle, p.Vfolders, &p.Copymeta} {
					err := library.unmarshal([]byte(mistake.text), options)
					require.Error(t, err, mistake.text)
					if mistake.want != "" {
						assert.ErrorContains(t, err, mistake.want, mistake.text)
					}
				}
				assert.Equal(t, before(), p, mistake.text)
			}
		})
	}
}

type mistake struct{ text, want string }

func mistakes(texts settings) []mistake {
	switch texts {
	case inJSON:
		return []mistake{
			{`{"max-of-nothing": 5}`, `there is no setting "max-of-nothing"`},
			{`{"max": {"of": {"nothing": [1, 2]}}}`, `there is no setting "max"`},
			{`[{}]`, ""},
			{`5`, ""},
		}
	case inYAML:
		return []mistake{
			{"max-of-nothing: 5", `there is no setting "max-of-nothing"`},
			{"max: {of: {nothing: [1, 2], 3: 4}}", `there is no setting "max"`},
			{"1: 2", ""},
			{"a: &a [1]\n? *a\n: 2", ""},
			{"a: &a {b: 1}\n<<: *a", "there is no setting"},
			{"- a", ""},
			{"5", ""},
		}
	default:
		return []mistake{
			{"max-of-nothing = 5", `there is no setting "max-of-nothing"`},
			{"[max.of]\nnothing = 5", `there is no setting "max"`},
			{"[[max]]\n[[max]]", `there is no setting "max"`},
			{`"" = 5`, `there is no setting ""`},
		}
	}
}

func TestLimitsWithMistakes(t *testing.T) {
	for _, library := range libraries {
		t.Run(library.name, func(t *testing.T) {
			for _, mistake := range limitsMistakes(library.texts) {
				options := limits.DefaultOptions()
				err := library.unmarshal([]byte(mistake.text), options)
				assert.ErrorContains(t, err, mistake.want, mistake.text)
				assert.Equal(t, limits.DefaultOptions(), options)
			}
		})
	}
}

const unit = `it must be a duration in quotes and with its unit, such as "40s" or "1h30m"`

func limitsMistakes(texts settings) []mistake {
	switch texts {
	case inJSON:
		return []mistake{
			{`{"maxFetches": 5, "MaxFetches": 5}`, ""},
			{`{"maxFetches": 9223372036854775808}`, "MaxFetches is 9223372036854775808: it is out of range"},
			{`{"maxFetches": null}`, "MaxFetches is null"},
			{`{"loginTimeout": 60}`, "LoginTimeout is 60: " + unit},
			{`{"onEvent": "log"}`, "OnEvent is not a setting"},
		}
	case inYAML:
		return []mistake{
			{"max-fetches: 5\nmaxFetches: 5", "MaxFetches is given twice"},
			{"max-fetches: 5\nmax-fetches: 5", "already defined"},
			{"max-fetches: 9223372036854775808", "MaxFetches is 9223372036854775808: it is out of range"},
			{"max-fetches: 1e100", "MaxFetches is "},
			{"max-fetches: .nan", "MaxFetches is NaN: it must be a whole number"},
			{"max-fetches:", "MaxFetches is null"},
			{"max-fetches: 2026-01-02", "it must be a whole number"},
			{"login-timeout: 60", "LoginTimeout is 60: " + unit},
			{"login-timeout: 1:00", "LoginTimeout is "},
			{"share-searches: yes", `ShareSearches is "yes": it must be true or false`},
			{"exempt: 192.0.2.0/24", `Exempt is "192.0.2.0/24": it must be a list`},
			{"exempt: [[192.0.2.0/24]]", "Exempt[0] is a list"},
			{"exempt: {1: 192.0.2.0/24}", "Exempt is a table: it must be a list"},
			{"on-event: log", "OnEvent is not a setting"},
		}
	default:
		return []mistake{
			{"max_fetches = 5\nmaxFetches = 5", "MaxFetches is given twice"},
			{"max_fetches = 5\nmax_fetches = 5", "already been defined"},
			{"max_fetches = 5.5", "MaxFetches is 5.5: it must be a whole number"},
			{"max_fetches = inf", "MaxFetches is +Inf: it is out of range"},
			{"max_fetches = 2026-01-02", "MaxFetches is a date or a time: it must be a whole number"},
			{"login_timeout = 60", "LoginTimeout is 60: " + unit},
			{"login_timeout = 00:01:00", "LoginTimeout is a date or a time: " + unit},
			{"exempt = [[]]", "Exempt[0] is a list: it must be text"},
			{"[[exempt]]", "Exempt[0] is a table: it must be text"},
			{"on_event = 5", "OnEvent is not a setting"},
		}
	}
}

// Anchors and merges are YAML's own, and are resolved before we see them.
func TestYAMLAnchors(t *testing.T) {
	for _, library := range libraries[1:3] {
		p := before()
		require.NoError(t, library.unmarshal([]byte(`
limits: &base
  max-fetches: &number 5
  fetch-queue-timeout: &time 90s
  search-queue-timeout: *time
  max-searches: *number
`), p), library.name)
		assert.Equal(t, 5, p.Limits.MaxSearches)
		assert.Equal(t, 90*time.Second, p.Limits.SearchQueueTimeout)

		var both struct{ A, B limits.Options }
		require.NoError(t, library.unmarshal([]byte(`
a: &a {max-fetches: 5, max-searches: 6}
b: {<<: *a, max-searches: 7}
`), &both), library.name)
		assert.Equal(t, limits.Options{MaxFetches: 5, MaxSearches: 6}, both.A)
		assert.Equal(t, limits.Options{MaxFetches: 5, MaxSearches: 7}, both.B)
	}
}

// What says nothing changes nothing. (goccy/go-yaml does not ask us about an empty file: it makes
// all zero.)
func TestFilesThatSayNothing(t *testing.T) {
	for _, library := range libraries {
		texts := map[settings][]string{
			inJSON: {"{}"}, inYAML: {"{}"}, inTOML: {"", "# nothing"},
		}[library.texts]
		if library.name == "encoding/json" || library.name == "go.yaml.in/yaml" {
			texts = append(texts, "null")
		}
		if library.name == "go.yaml.in/yaml" {
			texts = append(texts, "", "# nothing")
		}
		for _, text := range texts {
			p := before()
			require.NoError(t, library.unmarshal([]byte(text), p.Limits), library.name)
			require.NoError(t, library.unmarshal([]byte(text), &p.Copymeta), library.name)
			assert.Equal(t, before(), p)
		}
	}
}
