package mailserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/limits"
)

// get returns the answer to a GET.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, string(body)
}

func TestTheStatusShowsWhoHoldsWhat(t *testing.T) {
	s := startServer(
		t, "-status", "127.0.0.1:0", "-delay", "1m", "-max-fetches-per-user", "1", "-max-connections",
		"4",
	)
	page := "http://" + s.address("status") + "/"
	s.dial()
	first, second := s.selected("karen"), s.selected("karen")
	first.Send("a FETCH 1 FLAGS")
	second.Send("a FETCH 1 FLAGS")
	s.selected("bob")
	_, greeting := s.dial()
	assert.Contains(t, greeting, "BYE")

	var answer struct {
		Stats    limits.Stats
		Sessions []limits.SessionInfo
	}
	require.Eventually(t, func() bool {
		response, body := get(t, page+"status.json")
		assert.Equal(t, "application/json", response.Header.Get("Content-Type"))
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		answer.Stats.ConnectionsEnding = 0
		return answer.Stats.Fetches+answer.Stats.FetchesWaiting == 2 && len(answer.Sessions) == 4
	}, patience, time.Millisecond)
	assert.Equal(t, limits.Stats{
		Connections: 4, Sessions: 3, Fetches: 1, FetchesWaiting: 1, Refused: limits.Refusals{Connections: 1},
	}, answer.Stats)
	require.Len(t, answer.Sessions, 4)
	assert.Equal(t, netip.MustParseAddr("127.0.0.1"), answer.Sessions[0].Addr.Addr())
	assert.False(t, answer.Sessions[0].LoggedIn)
	assert.Equal(t, "karen", answer.Sessions[1].User)

	_, body := get(t, page)
	for _, want := range []string{
		`<dt>Connections</dt><dd>4<small> of 4</small>`, `<b>1</b> Connections`, `<b>0</b> Logins per IP`,
		`<tr><td class="user" title="karen">karen</td><td class="n">2</td><td class="n">1</td><td class="n">1</td>`,
		`<small>1 waiting, 1 running, 2 silent</small>`, `<i>not logged in</i>`,
	} {
		assert.Contains(t, body, want)
	}
	assert.Equal(t, exitOK, s.stop())
	_, err := http.Get(page)
	assert.Error(t, err)
}

func TestTheStatusIsForThisMachineAndReadOnly(t *testing.T) {
	s := startServer(t, "-status", "localhost:0")
	address := s.address("status")
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	for _, test := range []struct {
		method, path, host string
		want               int
	}{
		{"GET", "/", "", http.StatusOK}, {"HEAD", "/", "", http.StatusOK},
		{"GET", "/status.json", "localhost:" + port, http.StatusOK},
		{"GET", "/status.css", "LOCALHOST", http.StatusOK},
		{"GET", "/status.js", "[::1]:" + port, http.StatusOK},
		{"GET", "/", "example.org:" + port, http.StatusForbidden},
		{"GET", "/status.json", "localhost.example.org", http.StatusForbidden},
		{"GET", "/status.json", "127.0.0.1.example.org:" + port, http.StatusForbidden},
		{"GET", "/status.json", "192.0.2.1", http.StatusForbidden},
		{"POST", "/", "", http.StatusMethodNotAllowed},
		{"DELETE", "/status.json", "", http.StatusMethodNotAllowed},
		{"GET", "/status.html", "", http.StatusNotFound}, {"GET", "/status/", "", http.StatusNotFound},
	} {
		request, err := http.NewRequest(test.method, "http://"+address+test.path, nil)
		require.NoError(t, err)
		request.Host = test.host
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, test.want, response.StatusCode, "%v", test)
		if test.want == http.StatusOK {
			assert.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
			assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
			assert.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
		}
	}
}

// hostile are names that a client, or who sets up an account, could choose.
var hostile = []string{
	`<script>document.title="broken"</script>`,
	`"><img src=x onerror=document.title='broken'>`,
	`'-alert(1)-'`,
	"</td></tr></table><h1>x",
	"{{.}}",
	"\x00\x1b[31m\r\n\u202etxt.exe\u200b",
	"\xff\xfe",
	strings.Repeat("x", 50<<10),
	strings.Repeat("\u0301", 50<<10),
}

// fakeLimiter has one session more at each look.
type fakeLimiter struct {
	looks    atomic.Int64
	sessions []limits.SessionInfo
}

func (f *fakeLimiter) Sessions() []limits.SessionInfo {
	return append([]limits.SessionInfo(nil), f.sessions...)
}

func (f *fakeLimiter) Stats() limits.Stats {
	return limits.Stats{
		Connections: 7000 + int(
			f.looks.Add(1),
		), Sessions: len(f.sessions), Fetches: 50, FetchesWaiting: 9, Searches: 7, SearchesJoined: 3,
		Refused: limits.Refusals{LoginsPerUser: 180, Fetches: 12},
		Total:   limits.Totals{Left: 4},
	}
}

// manySessions returns what n connections could be doing.
func manySessions(n int, names []string) []limits.SessionInfo {
	commands := []string{"", "IDLE", "FETCH", "SEARCH", "", "IDLE", "FETCH", "COPY", "IDLE", "SELECT"}
	sessions := make([]limits.SessionInfo, n)
	for i := range sessions {
		since := time.Duration(i*i) * 120 * time.Millisecond
		sessions[i] = limits.SessionInfo{
			User:      names[i*i*5/3%len(names)],
			Addr:      netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 60)}), 50000),
			TLS:       i%3 > 0,
			LoggedIn:  i%17 > 0,
			Connected: time.Now().Add(-since - time.Duration(i)*100*time.Second),
			Command:   commands[i%len(commands)],
			Waiting:   i%len(commands) == 6,
			Since:     time.Now().Add(-since),
		}
		if i%11 == 5 {
			sessions[i].Addr = netip.MustParseAddrPort("[2001:db8:85a3:1234:5678:8a2e:370:7334]:50000")
		}
		if !sessions[i].LoggedIn {
			sessions[i].User, sessions[i].Command, sessions[i].Waiting = "", "", false
		}
	}
	return sessions
}

func serveStatus(t *testing.T, limiter *fakeLimiter) string {
	s := &status{
		limiter: limiter,
		options: limits.DefaultOptions(),
		started: time.Now().Add(-50 * time.Hour),
	}
	server := httptest.NewServer(s.handler())
	t.Cleanup(server.Close)
	return server.URL
}

func TestNamesAreHarmless(t *testing.T) {
	url := serveStatus(t, &fakeLimiter{sessions: manySessions(100, hostile)})
	_, page := get(t, url)
	assert.Equal(t, 1, strings.Count(page, "<script"), "its own")
	assert.NotContains(t, page, "<img")
	assert.Equal(t, 1, strings.Count(page, "<h1>"))
	assert.Contains(t, page, "&lt;script&gt;document.title=&#34;broken&#34;&lt;/script&gt;")
	assert.Less(t, len(page), 100<<10)
	_, text := get(t, url+"/status.json")
	assert.Less(t, len(text), 100<<10)
	assert.NotContains(t, text, "<")
	for _, body := range []string{page, text} {
		assert.False(t, strings.ContainsFunc(body, func(r rune) bool {
			return !unicode.IsGraphic(r) && r != '\n' && r != '\t'
		}))
	}
}

func TestALongTableIsCut(t *testing.T) {
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprint("user", i))
	}
	limiter := &fakeLimiter{sessions: manySessions(2000, names)}
	_, page := get(t, serveStatus(t, limiter))
	assert.LessOrEqual(t, strings.Count(page, "<tr"), 2*(maxRows+1))
	assert.Contains(t, page, "1500 more are in the JSON.")
	_, page = get(t, serveStatus(t, &fakeLimiter{}))
	assert.Contains(t, page, "Nobody is logged in.")
	assert.Contains(t, page, "There is no connection.")
}

func TestTimeText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                  "0.0 s",
		9940 * time.Millisecond:       "9.9 s",
		59*time.Second + 999:          "59 s",
		61 * time.Second:              "1 min 01 s",
		time.Hour:                     "1 h 00 min",
		50*time.Hour + 59*time.Minute: "2 d 02 h",
	} {
		assert.Equal(t, want, timeText(d))
	}
}

// With "go test -artifacts" the screenshot is kept.
func TestTheStatusInABrowser(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed")
	}
	names := append([]string{"karen", "bob", "service@example.org", "Jürgen", "eve"}, hostile...)
	url := serveStatus(t, &fakeLimiter{sessions: manySessions(200, names)})
	screenshot := filepath.Join(t.ArtifactDir(), "status.png")
	chromium := func(args ...string) string {
		args = append(
			[]string{
				"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
				"--user-data-dir=" + t.TempDir(), "--virtual-time-budget=7000",
			},
			args...)
		command := exec.CommandContext(t.Context(), browser, append(args, url)...)
		output, err := command.Output()
		require.NoError(t, err)
		return string(output)
	}
	page := chromium("--dump-dom")
	assert.Contains(t, page, "<title>imapgate: who holds what</title>")
	assert.Equal(t, 1, strings.Count(page, "<script"))
	assert.NotContains(t, page, "<img")
	assert.Contains(t, page, "&lt;script&gt;")
	assert.Regexp(t, regexp.MustCompile(`<p id="lost" hidden`), page)
	assert.NotContains(t, page, "<dd>7001<", "it has been refreshed")
	assert.Equal(t, 200, strings.Count(page, `<tr class="`))

	chromium("--screenshot="+screenshot, "--window-size=1280,6500")
	image, err := os.Stat(screenshot)
	require.NoError(t, err)
	assert.Greater(t, image.Size(), int64(50<<10))
}
