package mailserver

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
)

const (
	takesNumber   = "it takes a whole number, 0 or more"
	takesDuration = "it takes a duration with its unit, such as 40s or 200ms, 0 or more"
	takesAddress  = "it takes host:port, such as 127.0.0.1:1143"
	takesUsers    = "it takes a list such as karen:pass,bob:pass"
	takesMail     = "it takes a folder of .eml files, a Maildir with cur and new, or an mbox file " +
		"that begins with a From_ line"
)

func TestAMistakeOnTheCommandLineIsNamed(t *testing.T) {
	folder := t.TempDir()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-max-fetches", "-1"}, `invalid value "-1" for flag -max-fetches: ` + takesNumber},
		{[]string{"-max-fetches", "many"}, `invalid value "many" for flag -max-fetches: ` + takesNumber},
		{[]string{"-max-fetches="}, `invalid value "" for flag -max-fetches: ` + takesNumber},
		{
			[]string{"-max-logins-per-ip", "9e99"},
			`invalid value "9e99" for flag -max-logins-per-ip: ` + takesNumber,
		},
		{
			[]string{"-max-searches", "99999999999999999999"},
			`invalid value "99999999999999999999" for flag -max-searches: ` + takesNumber,
		},
		{
			[]string{"-fetch-queue-timeout", "40"},
			`invalid value "40" for flag -fetch-queue-timeout: ` + takesDuration,
		},
		{
			[]string{"-search-queue-timeout", "-1s"},
			`invalid value "-1s" for flag -search-queue-timeout: ` + takesDuration,
		},
		{[]string{"-delay", "soon"}, `invalid value "soon" for flag -delay: ` + takesDuration},
		{
			[]string{"-login-delay", "-1ns"},
			`invalid value "-1ns" for flag -login-delay: ` + takesDuration,
		},
		{[]string{"-listen", "1143"}, `invalid value "1143" for flag -listen: ` + takesAddress},
		{
			[]string{"-listen", "127.0.0.1:"},
			`invalid value "127.0.0.1:" for flag -listen: ` + takesAddress,
		},
		{
			[]string{"-listen-tls", "[::1]:70000"},
			`invalid value "[::1]:70000" for flag -listen-tls: ` + takesAddress,
		},
		{
			[]string{"-listen=", "-listen-tls="},
			`invalid value "" for flag -listen: it takes an address, such as 127.0.0.1:1143, when`,
		},
		{
			[]string{"-users="},
			`invalid value "" for flag -users: entry 1 must be name:password; ` + takesUsers,
		},
		{
			[]string{"-users", "ann:secret,bob"},
			`invalid value "ann:***,bob" for flag -users: entry 2 must be name:password; ` + takesUsers,
		},
		{
			[]string{"-users", "ann:secret,:x"},
			`invalid value "ann:***,:***" for flag -users: entry 2 must be name:password; ` + takesUsers,
		},
		{
			[]string{"-users", "ann:secret,"},
			`invalid value "ann:***," for flag -users: entry 2 must be name:password; ` + takesUsers,
		},
		{
			[]string{"-users", "ann:secret, Ann:x"},
			`invalid value "ann:***, Ann:***" for flag -users: entry 2 has the name of another user; `,
		},
		{
			[]string{"-users", "an\nn:secret"},
			`invalid value "an\nn:***" for flag -users: entry 1 has a control character in it; ` +
				takesUsers,
		},
		{
			[]string{"-tls-cert", "c.pem"},
			`invalid value "" for flag -tls-key: it takes the file of the private key when -tls-cert ` +
				`is given`,
		},
		{
			[]string{"-tls-key", "k.pem"},
			`invalid value "" for flag -tls-cert: it takes the file of the certificate when -tls-key ` +
				`is given`,
		},
		{
			[]string{"-tls-cert", "no.pem", "-tls-key", "no.pem"},
			`invalid value "no.pem" for flag -tls-cert: open no.pem: `,
		},
		{
			[]string{"-tls-cert", "main.go", "-tls-key", "no.pem"},
			`invalid value "no.pem" for flag -tls-key: open no.pem: `,
		},
		{
			[]string{"-tls-cert", "main.go", "-tls-key", "main.go"},
			`invalid value "main.go" for flag -tls-cert: tls: `,
		},
		{[]string{"-mail", "no/such/mail"}, `invalid value "no/such/mail" for flag -mail: `},
		{[]string{"-mail", folder}, ` for flag -mail: ` + takesMail},
		{[]string{"-mail", "main.go"}, `invalid value "main.go" for flag -mail: ` + takesMail},
		{[]string{"-mail", "testdata/folder/2-empty.eml"}, ` for flag -mail: it is empty`},
		{[]string{"-idle", "maybe"}, `invalid value "maybe" for flag -idle: it takes on or poll or off`},
		{
			[]string{"-idle-poll-interval", "0s"},
			`invalid value "0s" for flag -idle-poll-interval: it takes a duration from 1ms to 24h`,
		},
		{
			[]string{"-idle-poll-interval", "25h"},
			`invalid value "25h0m0s" for flag -idle-poll-interval: it takes a duration from 1ms to 24h`,
		},
		{
			[]string{"-virtual-folders", "on"},
			`invalid value "on" for flag -virtual-folders: it takes selectable or noselect or off`,
		},
		{
			[]string{"-virtual-folders-history", "main.go"},
			`invalid value "main.go" for flag -virtual-folders-history: ` +
				`vfolders: the history main.go: it is not a history`,
		},
		{
			[]string{"-virtual-folders-history", "x", "-virtual-folders", "off"},
			`invalid value "x" for flag -virtual-folders-history: it needs -virtual-folders selectable`,
		},
		{
			[]string{"-copy-date", "now"},
			`invalid value "now" for flag -copy-date: it takes keep or reset or preserve`,
		},
		{
			[]string{"-copy-flags="},
			`invalid value "" for flag -copy-flags: it takes keep or reset or preserve`,
		},
		{
			[]string{"-copy-max-memory", "0"},
			`invalid value "0" for flag -copy-max-memory: it takes a whole number, 1 or more`,
		},
		{
			[]string{"-copy-temp-dir", "no/such"},
			`invalid value "no/such" for flag -copy-temp-dir: it takes a folder`,
		},
		{
			[]string{"-virtual-folders-prefix", ""},
			`invalid value "" for flag -virtual-folders-prefix: it takes the beginning of a mailbox name`,
		},
		{
			[]string{"-shared", "karen"},
			`invalid value "karen" for flag -shared: it takes owner:folder, such as karen:INBOX`,
		},
		{
			[]string{"-shared", "ann:INBOX"},
			`invalid value "ann:INBOX" for flag -shared: -users has no such user`,
		},
		{
			[]string{"-shared", "karen:INBOX", "-shared", "karen:None"},
			`invalid value "karen:None" for flag -shared: the owner has no such folder, `,
		},
		{
			[]string{"-exempt", "10.0.0.0/33"},
			`invalid value "10.0.0.0/33" for flag -exempt: it takes a network, such as 10.0.0.0/8`,
		},
		{
			[]string{"-exempt", "::ffff:10.0.0.0/104"},
			`invalid value "::ffff:10.0.0.0/104" for flag -exempt: it takes a network`,
		},
		{
			[]string{"-exempt", "fe80::1%lo"},
			`invalid value "fe80::1%lo" for flag -exempt: it takes a network`,
		},
		{
			[]string{"-unlimited-user", "ann"},
			`invalid value "ann" for flag -unlimited-user: -users has no such user`,
		},
		{
			[]string{"-join-running", "-share-searches=false"},
			`invalid value "true" for flag -join-running: it needs -share-searches`,
		},
		{[]string{"-status", "8143"}, `invalid value "8143" for flag -status: it takes host:port`},
		{
			[]string{"-status", "0.0.0.0:8143"},
			`invalid value "0.0.0.0:8143" for flag -status: it takes a loopback address`,
		},
		{
			[]string{"-status", ":8143"},
			`invalid value ":8143" for flag -status: it takes a loopback address`,
		},
		{
			[]string{"-status", "192.0.2.1:8143"},
			`invalid value "192.0.2.1:8143" for flag -status: it takes a loopback address`,
		},
		{
			[]string{"-status", "example.org:8143"},
			`invalid value "example.org:8143" for flag -status: it takes a loopback address`,
		},
		{[]string{"-status-admin"}, `invalid value "true" for flag -status-admin: it needs -status`},
		{[]string{"stray"}, `unexpected argument "stray"`},
		{[]string{"-no-such-flag"}, `flag provided but not defined: -no-such-flag`},
		{[]string{"-mail"}, `flag needs an argument: -mail`},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			status, stderr := runOnce(t, test.args...)
			assert.Equal(t, exitUsage, status)
			assert.Contains(t, stderr, test.want)
			assert.NotContains(t, stderr, "secret")
			assert.Equal(t, 2, strings.Count(stderr, "\n"), "the error and where to find help: %s", stderr)
		})
	}
}

func TestEveryLimitHasItsFlagAndDefault(t *testing.T) {
	s := &settings{}
	flags := newFlags(s)
	options := limits.DefaultOptions()
	options.ShareSearches = true // the backend's sessions search the mailbox as it is
	defaults := reflect.ValueOf(options).Elem()
	capitals := regexp.MustCompile(`([a-z])([A-Z])`)
	var checked int
	for i := range defaults.NumField() {
		field := defaults.Type().Field(i)
		value := defaults.Field(i).Interface()
		text := "7"
		switch field.Type {
		case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		case reflect.TypeFor[bool]():
			text = strconv.FormatBool(!value.(bool))
		case reflect.TypeFor[time.Duration]():
			text = "7s"
		default:
			continue
		}
		checked++
		name := strings.ToLower(capitals.ReplaceAllString(field.Name, "$1-$2"))
		f := flags.Lookup(name)
		require.NotNil(t, f, name)
		assert.EqualValues(t, value, reflect.ValueOf(s.limits).Field(i).Interface(), name)
		require.NoError(t, flags.Set(name, text))
		assert.Equal(t, text, f.Value.String())
		assert.NotEqual(t, value, reflect.ValueOf(s.limits).Field(i).Interface(), name)
	}
	assert.Equal(t, 36, checked)
}

// The flags of the other packages have the name of the field after that of the package.
func TestEveryOptionHasItsFlag(t *testing.T) {
	capitals := regexp.MustCompile(`([a-z])([A-Z])`)
	var checked int
	for _, test := range []struct {
		prefix  string
		options func(*settings) any
	}{
		{"idle-", func(s *settings) any { return s.idle }},
		{"copy-", func(s *settings) any { return s.copies }},
		{"virtual-folders-", func(s *settings) any { return s.virtualFolders.Options }},
	} {
		for field := range reflect.TypeOf(test.options(&settings{})).Fields() {
			text := "7"
			switch field.Type {
			case reflect.TypeFor[int](), reflect.TypeFor[int64]():
			case reflect.TypeFor[bool]():
				text = "true"
			case reflect.TypeFor[time.Duration]():
				text = "7s"
			case reflect.TypeFor[string](), reflect.TypeFor[[]string]():
				text = "."
			default:
				continue
			}
			checked++
			name := test.prefix + strings.ToLower(capitals.ReplaceAllString(field.Name, "$1-$2"))
			name = strings.Replace(name, "prefixes", "prefix", 1) // of which each flag is one
			s := &settings{}
			flags := newFlags(s)
			require.NotNil(t, flags.Lookup(name), name)
			before := fmt.Sprint(reflect.ValueOf(test.options(s)).FieldByName(field.Name))
			require.NoError(t, flags.Set(name, text), name)
			after := fmt.Sprint(reflect.ValueOf(test.options(s)).FieldByName(field.Name))
			assert.NotEqual(t, before, after, name)
			assert.Contains(t, after, text, name)
		}
	}
	assert.Equal(t, 14, checked)
}

func TestHelpShowsTheDefaults(t *testing.T) {
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitOK, Run(t.Context(), []string{"-h"}, &stdout, &stderr, asServer))
	assert.Empty(t, stderr.String())
	for _, want := range []string{
		`(default "127.0.0.1:1143")`, `(default "127.0.0.1:1993")`, `(default "karen:pass,bob:pass")`,
		"-max-logins-per-user number", "(default 20)", "(default 40s)", "-mail path",
	} {
		assert.Contains(t, stdout.String(), want)
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, name := range []string{"-listen", "-listen-tls", "-status"} {
		args := append(
			[]string{"-listen", "127.0.0.1:0", "-listen-tls", "127.0.0.1:0"}, name, taken.Addr().String(),
		)
		status, stderr := runOnce(t, args...)
		assert.Equal(t, exitFailed, status)
		assert.Contains(t, stderr, name+" "+taken.Addr().String()+": ")
	}
}

func TestThePathOfMailIsInTheLog(t *testing.T) {
	path := filepath.Join("testdata", "mail.mbox")
	s := startServer(t, "-mail", path)
	assert.Contains(t, s.stderr.String(), `msg="mail loaded" user=karen messages=3`)
}
