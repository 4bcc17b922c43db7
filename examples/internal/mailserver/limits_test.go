package mailserver

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

func TestEveryKindOfEventIsLogged(t *testing.T) {
	var log bytes.Buffer
	onEvent := eventLog(slog.New(slog.NewTextHandler(&log, nil)))
	addr := netip.MustParseAddr("192.0.2.1")
	for _, test := range []struct {
		event limits.Event
		want  string
	}{
		{
			limits.Event{
				Kind: limits.EventRefused, Command: "LIST", User: "k", Limit: "MaxListWildcards",
				Max: "3", DryRun: true,
			},
			`level=WARN msg=refused command=LIST user=k addr=192.0.2.1 limit=MaxListWildcards ` +
				`max=3 waited=0s dry-run=true`,
		},
		{
			limits.Event{
				Kind: limits.EventTimedOut, Command: "SEARCH", Limit: "SearchRunTimeout",
				Max: "1m0s",
			},
			`level=WARN msg="timed out" command=SEARCH user="" addr=192.0.2.1 ` +
				`limit=SearchRunTimeout max=1m0s waited=0s`,
		},
		{
			limits.Event{Kind: limits.EventLeft, Command: "FETCH", Waited: 1500100 * time.Microsecond},
			`level=INFO msg=left command=FETCH user="" addr=192.0.2.1 waited=1.5s`,
		},
		{
			limits.Event{Kind: limits.EventAdmitted, Command: "FETCH", Waited: time.Second},
			`level=INFO msg=admitted command=FETCH user="" addr=192.0.2.1 waited=1s`,
		},
		{
			limits.Event{Kind: limits.EventJoined, Command: "SEARCH"},
			`level=INFO msg=joined command=SEARCH user="" addr=192.0.2.1 waited=0s`,
		},
		{
			limits.Event{Kind: limits.EventEvicted, Limit: "MaxLoginsPerUser", Max: "2"},
			`level=WARN msg=evicted command="" user="" addr=192.0.2.1 limit=MaxLoginsPerUser ` +
				`max=2 waited=0s`,
		},
		{
			limits.Event{
				Kind: limits.EventStalled, Command: "FETCH", Limit: "StallTimeout", Max: "30s",
				RetryAfter: time.Second,
			},
			`level=WARN msg=stalled command=FETCH user="" addr=192.0.2.1 limit=StallTimeout ` +
				`max=30s waited=0s retry-after=1s`,
		},
		{
			limits.Event{Kind: limits.EventFailed, Command: "LOGIN", User: "k"},
			`level=WARN msg=failed command=LOGIN user=k addr=192.0.2.1 waited=0s`,
		},
	} {
		log.Reset()
		test.event.Addr = addr
		onEvent(test.event)
		_, line, _ := strings.Cut(log.String(), " ")
		assert.Equal(t, test.want+"\n", line)
	}
}

func TestDryRun(t *testing.T) {
	s := startServer(t, "-max-logins-per-user", "1", "-dry-run")
	s.selected("karen")
	s.selected("karen")
	assert.Contains(
		t, s.stderr.String(),
		"msg=refused command=LOGIN user=karen addr=127.0.0.1 limit=MaxLoginsPerUser max=1 "+
			"waited=0s dry-run=true",
	)
}

func TestExempt(t *testing.T) {
	for network, exempt := range map[string]bool{
		"127.0.0.0/8": true, "127.0.0.1": true, "10.0.0.0/8": false,
	} {
		s := startServer(t, "-exempt", "192.0.2.0/24", "-exempt", network, "-max-connections", "1")
		s.dial()
		_, greeting := s.dial()
		assert.Equal(t, exempt, strings.HasPrefix(greeting, "* OK"), network)
	}
}

func TestUnlimitedUser(t *testing.T) {
	s := startServer(
		t, "-unlimited-user", "Karen", "-max-logins-per-user", "1", "-max-failed-logins", "1",
	)
	for range 3 {
		s.selected("karen")
	}
	s.selected("bob")
	c, _ := s.dial()
	assert.Contains(t, imaptest.Last(c.Cmd("a LOGIN bob pass")), "NO [LIMIT]")
	c, _ = s.dial()
	assert.Contains(t, imaptest.Last(c.Cmd("a LOGIN karen wrong")), "NO [AUTHENTICATIONFAILED]")
	assert.Contains(t, strings.Join(c.Rest(), "\n"), "Too many failed login attempts")
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "2001:db8::1": "2001:db8::1/128",
		"2001:db8::/32": "2001:db8::/32",
	} {
		network, err := parseNetwork(text)
		require.NoError(t, err)
		assert.Equal(t, want, network.String())
	}
}
