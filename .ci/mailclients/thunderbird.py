"""Thunderbird, without a window, told what to do by Marionette: it opens every folder that it is shown, and no alert appears."""

import glob
import itertools
import json
import os
import socket
import subprocess
import tempfile
import time

import call
import mail
from call import check
from server import FOLDERS, SHARED, Server

PROFILE = {
    "mail.accountmanager.accounts": "account1",
    "mail.account.account1.server": "server1",
    "mail.account.account1.identities": "id1",
    "mail.identity.id1.useremail": "karen@localhost",
    "mail.identity.id1.valid": True,
    "mail.server.server1.type": "imap",
    "mail.server.server1.hostname": "127.0.0.1",
    "mail.server.server1.userName": "karen",
    "mail.server.server1.authMethod": 3,  # a password, in clear
    "mail.server.server1.socketType": 0,
    "mail.server.server1.login_at_startup": False,
    "mail.server.server1.using_subscription": False,
    "mail.accounthub.enabled": False,
    "mail.provider.enabled": False,
    "mail.shell.checkDefaultClient": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
    "marionette.port": 0,
}

BEGIN = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const pane = () => Services.wm.getMostRecentWindow("mail:3pane").document.getElementById("tabmail").currentAbout3Pane;
const server = MailServices.accounts.allServers.find(server => server.type == "imap");
const until = async condition => {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise(resolve => setTimeout(resolve, 100));
};
const all = folder => folder.subFolders.flatMap(below => [below, ...all(below)]);
"""

LOG_IN = """
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
login.init("imap://127.0.0.1", null, "imap://127.0.0.1", "karen", "pass", "", "");
await Services.logins.addLoginAsync(login);
await until(() => pane()?.displayFolder);
pane().displayFolder(server.rootFolder.URI + "/INBOX");
await until(() => all(server.rootFolder).some(folder => folder.URI.endsWith("/owner/Archive")));
return all(server.rootFolder).map(folder =>
  [folder.QueryInterface(Ci.nsIMsgImapMailFolder).onlineName, folder.noSelect]);
"""

OPEN = """
const alerts = [];
MailServices.mailSession.addUserFeedbackListener({
  QueryInterface: ChromeUtils.generateQI(["nsIMsgUserFeedbackListener"]),
  onAlert(text) { alerts.push(text); return true; },
  onCertError() { return true; },
});
for (const folder of all(server.rootFolder)) {
  let loaded = false;
  const listener = {onFolderEvent(of, event) { loaded ||= of == folder && String(event) == "FolderLoaded"; }};
  MailServices.mailSession.AddFolderListener(listener, Ci.nsIFolderListener.event);
  pane().displayFolder(folder.URI);
  await until(() => loaded || folder.URI.endsWith("/INBOX"));  // the latter is loaded already
  await new Promise(resolve => setTimeout(resolve, 500));  // for an alert
  MailServices.mailSession.RemoveFolderListener(listener);
}
return [alerts, all(server.rootFolder).map(folder =>
  [folder.QueryInterface(Ci.nsIMsgImapMailFolder).onlineName, folder.getTotalMessages(false)])];
"""


class Thunderbird:
    def __init__(self, dir, port):
        self.dir = tempfile.mkdtemp(dir=dir)
        with open(f"{self.dir}/user.js", "w") as f:
            for name, value in (PROFILE | {"mail.server.server1.port": port}).items():
                f.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        self.output = open(f"{self.dir}/output", "wb")
        self.process = subprocess.Popen(
            ["thunderbird", "--headless", "--no-remote", "--profile", self.dir, "--marionette", "--remote-allow-system-access"],
            stdout=self.output, stderr=subprocess.STDOUT, env=os.environ | {"HOME": self.dir})
        try:
            self.connect()
        except BaseException:
            self.process.kill()
            raise

    def connect(self):
        for _ in range(600):
            if found := glob.glob(f"{self.dir}/MarionetteActivePort"):
                with open(found[0]) as f:
                    if text := f.read():
                        break
            time.sleep(0.1)
        else:
            raise AssertionError("Thunderbird does not listen")
        self.socket = socket.create_connection(("127.0.0.1", int(text)), timeout=120)
        self.file, self.ids = self.socket.makefile("rb"), itertools.count()
        self.read()
        self.command("WebDriver:NewSession", {"capabilities": {}})
        self.command("Marionette:SetContext", {"value": "chrome"})
        self.command("WebDriver:SetTimeouts", {"script": 100_000})

    def read(self):
        size = b""
        while (byte := self.file.read(1)) != b":":
            if not byte:
                raise EOFError("Thunderbird has ended")
            size += byte
        return json.loads(self.file.read(int(size)))

    def command(self, name, params):
        message = json.dumps([0, next(self.ids), name, params]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, value = self.read()
        if error:
            raise AssertionError(f"{name}: {error}")
        return value

    def run(self, script):
        """What the script returns, which may wait."""
        call.story.append(script)
        wrapped = f"const done = arguments[arguments.length - 1]; (async () => {{{BEGIN}{script}}})().then(v => done([v]), e => done(String(e)))"
        value = self.command("WebDriver:ExecuteAsyncScript", {"script": wrapped, "args": []})["value"]
        call.story.append(json.dumps(value))
        if isinstance(value, str):
            raise AssertionError(value)
        return value[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.output.close()


def open_all(dir):
    """NAMESPACE says "#users/", and LIST "#users": not to be opened, because Thunderbird opens it as "#users/#users"."""
    call.story[:] = ["Thunderbird"]
    with Server(dir, [], ["karen"]) as server:
        server.fill("owner", [mail.message(0)], "Archive")
        with Thunderbird(dir, int(server.ports["plain"])) as client:
            folders = client.run(LOG_IN)
            check("folders", sorted(folders), sorted([[name, name == "#users"] for name in [*FOLDERS, "Lists", "#users", "#users/owner", SHARED]]))
            alerts, messages = client.run(OPEN)
            check("alerts", alerts, [])
            check("messages", sorted(messages), sorted([[name, {"INBOX": 5, SHARED: 1}.get(name, 0)] for name, _ in folders]))
